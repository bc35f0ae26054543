"""The right end point of the reverse Weibull law, estimated from batch maxima or the few largest values of batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clever._internal.choice import Choice
from clever.errors import InputError
from clever.extreme_value.interval import Interval, intervals
from clever.extreme_value.laws import Laws, Rule, Samples
from clever.extreme_value.maximum_likelihood import mle, mle_reg
from clever.extreme_value.profile_maximum import profile, tail
from clever.extreme_value.weibull import Array

RESOLUTION = 1e-6
"""Maxima that differ by less, relatively, are equal: single precision cannot tell them apart."""
ROUNDING = 2.0**-23
"""Maxima that differ by no more, relatively, repeat each other: one unit in the last place of single precision."""
REPEATED = 0.05
"""Above this share of maxima that repeat another one no continuous law describes them."""


class Estimator(Choice):
    """How the end point is found.

    ``mle_reg``: the authors' default. Maximum likelihood from seven starts, 0.01 * scale^2 added to the negative log
    likelihood (they meant the shape; the code penalises the scale, which keeps a fit from running away to an unbounded
    law); the start with the best K-S p-value wins; the sample maximum where none reaches 0.001.
    ``mle``: maximum likelihood, the best proper local maximum. Where none is found because the likelihood grows
    up to the law without an end point, or nearly so, the likeliest law that ends one range of the maxima above the
    sample maximum; else the sample maximum.
    ``maximum``: the sample maximum, which is below the end point.
    ``profile``: ours. Maximum likelihood among shapes of 1 or more; at most one range above the sample maximum where
    the interval has no upper end; the sample maximum where the K-S p-value is below 0.001.
    ``r_largest``: like ``profile``, by the likelihood of the r largest values of each batch (`Profile`), in a score of
    the largest 128th of its points (`Estimator.values_of`): more of a batch does not follow the law of its maximum.

    One range beyond N_b maxima of the Gumbel law is about what one of N_b^2 maxima exceeds. All but ``maximum`` take
    the sample maximum where more than 5 % of the maxima repeat another one: such a sample has no continuous law.

    Each is the name by which settings choose it, and a `clever.extreme_value.laws.Rule`.
    """

    MLE_REG = "mle_reg", Rule(mle_reg)
    MLE = "mle", Rule(mle)
    MAXIMUM = "maximum", Rule(None, fewest=1)
    PROFILE = "profile", Rule(profile)
    R_LARGEST = "r_largest", Rule(profile, values=tail)

    rule: Rule

    def __new__(cls, name: str, rule: Rule) -> Self:
        estimator = str.__new__(cls, name)
        estimator._value_, estimator.rule = name, rule
        return estimator

    def values_of(self, n_samples: int) -> int:
        """How many of the largest values of a batch of N_s points it is to have."""
        return self.rule.values(n_samples) if self.rule.values else 1


@dataclass(frozen=True)
class EndPoint:
    """An estimated end point, in the unit of the maxima, and what it rests on.

    The law is P(M <= m) = exp(-((value - m)/scale)^shape), m <= value. ``start``: the start of the shape that led to
    it. ``fit_failed``: no fit was good enough, the sample maximum stands in. ``degenerate``: all maxima equal, their
    common value is the answer. ``tied``: how many maxima repeat another one; ``discrete``: so many that no law was
    fitted. Without a fit, its numbers are NaN; after a fall-back, shape and scale are, and K-S numbers and start are of
    the best fit, which was not good enough.

    ``low`` and ``high``: nominal 95 % interval by the profile likelihood (`clever.extreme_value.interval`), widened to
    hold the value: of 16 to 500 maxima of the law, 93 to 98 % hold the true end point. Neither it nor ``flatness``
    knows the estimator or its penalty, which would put a bound to every law. ``flatness``: by how much the log
    likelihood of the best end point exceeds that of none; 0 where it grows all the way. ``unbounded``: ``high`` is
    infinite, a law without an end point is not rejected. That holds for 97.5 % of samples from such a law, and for
    those of shape 5 it holds for 74 % with 32 maxima, 25 % with 100, none with 500. ``limited``: the value is one range
    above the sample maximum, beyond which the likelihood is larger yet. ``r_largest`` has the interval of its own
    likelihood; the law, and the K-S numbers, are those of the maxima. ``tied`` counts maxima, ``discrete`` tells of all
    values.
    """

    value: float
    sample_maximum: float
    estimator: Estimator
    shape: float = float("nan")
    scale: float = float("nan")
    ks_statistic: float = float("nan")
    ks_pvalue: float = float("nan")
    start: float = float("nan")
    fit_failed: bool = False
    degenerate: bool = False
    tied: int = 0
    low: float = float("nan")
    high: float = float("nan")
    flatness: float = float("nan")
    unbounded: bool = False
    limited: bool = False
    discrete: bool = False


def end_points(largest: NDArray[np.float32] | Array, estimator: Estimator | str = Estimator.MLE_REG) -> list[EndPoint]:
    """The end point of each sample by `Estimator` (Weng et al. 2018, section 4.1).

    ``largest``: the batch maxima, (samples, N_b), or the largest values of each batch, largest first,
    (samples, N_b, kept), of which all estimators but ``r_largest`` use the maxima.
    `InputError` for NaN, infinite or negative values, and for fewer batches than `FEWEST_BATCHES` where a law is
    fitted.
    """
    estimator = Estimator.parse(estimator)
    rule = estimator.rule
    largest = np.atleast_2d(largest).astype(np.float64)
    if largest.ndim == 2:
        largest = largest[:, :, None]
    _check(largest, estimator)
    maxima, used = largest[:, :, 0], largest[:, :, : None if rule.values else 1]
    top = maxima.max(1)
    span = top - maxima.min(1)
    equal = span <= RESOLUTION * top
    fitted = np.full(len(maxima), rule.fit is not None) & ~equal
    steps = np.diff(np.sort(maxima, axis=1), axis=1)
    discrete = (steps <= ROUNDING * top[:, None]).sum(1) > max(1, REPEATED * maxima.shape[1])
    if used.shape[2] > 1:
        # Within batches, since of thousands of values some are that close by chance.
        within = -np.diff(largest, axis=2)
        discrete |= (within <= ROUNDING * top[:, None, None]).mean((1, 2)) > REPEATED
    discrete &= fitted
    ties = (steps == 0).sum(1)
    points = [
        EndPoint(float(m), float(m), estimator, tied=int(tied), fit_failed=bool(repeated), discrete=bool(repeated))
        for m, tied, repeated in zip(top, ties, discrete, strict=True)
    ]
    for row in np.flatnonzero(equal):
        value = points[row].value
        points[row] = replace(points[row], degenerate=True, low=value, high=value)
    rows = np.flatnonzero(fitted & ~discrete)
    if rows.size and rule.fit:
        z = (top[rows, None] - maxima[rows]) / span[rows, None]
        depth = (top[rows, None, None] - used[rows]) / span[rows, None, None]
        fits = _fitted([points[row] for row in rows], z, depth, span[rows], rule.fit)
        for row, point in zip(rows, fits, strict=True):
            points[row] = point
    return points


def _fitted(
    points: Sequence[EndPoint], z: Array, used: Array, span: Array, fit: Callable[[Samples], Laws]
) -> Iterator[EndPoint]:
    """The points with the numbers of the laws fitted to ``used`` and tested on the maxima z, in units of ``span``."""
    reach = used.max((1, 2))
    spread = intervals(used / reach[:, None, None])
    low, best, high = (ends * reach for ends in (spread.low, spread.best, spread.high))
    laws = fit(Samples(z, used, Interval(low, best, high, spread.flatness)))
    for k, (point, unit) in enumerate(zip(points, span.tolist(), strict=True)):
        tested = replace(
            point,
            ks_statistic=float(laws.ks_statistic[k]),
            ks_pvalue=float(laws.ks_pvalue[k]),
            start=float(laws.start[k]),
            fit_failed=not bool(laws.good[k]),
        )
        if tested.fit_failed:
            yield tested
            continue
        gap = laws.gap[k]
        yield replace(
            tested,
            value=float(point.value + gap * unit),
            shape=float(laws.shape[k]),
            scale=float(laws.scale[k] * unit),
            low=float(point.value + min(low[k], gap) * unit),
            high=float(point.value + max(high[k], gap) * unit),
            flatness=float(spread.flatness[k]),
            unbounded=bool(np.isinf(high[k])),
            limited=bool(laws.limited[k]),
        )


def _check(largest: Array, estimator: Estimator) -> None:
    if not np.isfinite(largest).all():
        row, column, kept = np.argwhere(~np.isfinite(largest))[0]
        raise InputError(f"maximum {column} of sample {row} is {largest[row, column, kept]}: maxima must be finite")
    if (largest < 0).any():
        raise InputError(f"the smallest maximum is {largest.min():g}: norms and curvatures are never negative")
    if (np.diff(largest, axis=2) > 0).any():
        raise InputError("the largest values of each batch must come largest first")
    fewest = estimator.rule.fewest
    if largest.shape[1] < fewest:
        raise InputError(f"{largest.shape[1]} batch maxima (N_b): the estimator {estimator} needs at least {fewest}")
