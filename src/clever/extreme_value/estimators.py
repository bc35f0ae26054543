"""Estimators of the end point of the reverse Weibull law, from batch maxima or the largest values of batches."""

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
from clever.extreme_value.profile_maximum import n_tail, profile
from clever.extreme_value.weibull import Array

RESOLUTION = 1e-6
"""Maxima within this relative range count as equal: float32 hardly resolves them."""
ROUNDING = 2.0**-23
"""Maxima with no larger relative difference, one unit in the last place of float32, count as repeated."""
REPEATED = 0.05
"""With a larger fraction of repeated maxima, no continuous law is fitted."""


class Estimator(Choice):
    """Estimators of the end point.

    ``mle_reg``: the authors' default. Maximum likelihood from seven starts, with 0.01 * scale^2 added to the negative
    log likelihood (the authors intended the shape; their code penalises the scale, which keeps the fit from diverging
    to an unbounded law). Of all starts, the fit with the best K-S p-value; the sample maximum if none reaches 0.001.
    ``mle``: maximum likelihood, the best proper local maximum. If there is none because the likelihood grows towards
    a law without an end point, the best law whose end point is one range of the maxima above the sample maximum;
    otherwise the sample maximum.
    ``maximum``: the sample maximum, which is below the end point.
    ``profile``: ours. Maximum likelihood over shapes of 1 or more; at most one range above the sample maximum if the
    interval has no upper end; the sample maximum if the K-S p-value is below 0.001.
    ``r_largest``: like ``profile``, with the likelihood of the r largest values of each batch (`Profile`). For a score,
    r is 1/128 of the batch (`Estimator.n_largest`): values below that do not follow the law of the maximum.

    For N_b maxima of the Gumbel law, one range above the sample maximum is about the level that one in N_b^2 maxima
    exceeds. All but ``maximum`` use the sample maximum if more than 5 % of the maxima are repeated, since no continuous
    law fits such a sample.

    Each member equals its name in the settings and has a `clever.extreme_value.laws.Rule`.
    """

    MLE_REG = "mle_reg", Rule(mle_reg)
    MLE = "mle", Rule(mle)
    MAXIMUM = "maximum", Rule(None, min_batches=1)
    PROFILE = "profile", Rule(profile)
    R_LARGEST = "r_largest", Rule(profile, n_largest=n_tail)

    rule: Rule

    def __new__(cls, name: str, rule: Rule) -> Self:
        estimator = str.__new__(cls, name)
        estimator._value_, estimator.rule = name, rule
        return estimator

    def n_largest(self, n_samples: int) -> int:
        """How many of the largest values of a batch of N_s points enter the likelihood."""
        return self.rule.n_largest(n_samples) if self.rule.n_largest else 1


@dataclass(frozen=True)
class EndPoint:
    """An estimated end point, in the unit of the maxima, with the fitted law and its diagnostics.

    The law is P(M <= m) = exp(-((value - m)/scale)^shape), m <= value. ``start``: the initial shape that led to the
    fit. ``fit_failed``: no fit was accepted; the value is the sample maximum. ``degenerate``: all maxima are equal; the
    value is their common value. ``tied``: the number of maxima that repeat another. ``discrete``: so many values are
    repeated, within the sample of maxima or within batches, that no law was fitted. If no law was fitted, the numbers
    of the fit are NaN; after a rejected fit, shape and scale are NaN, and K-S numbers and start are those of the best
    rejected fit.

    ``low`` and ``high``: nominal 95 % interval by profile likelihood (`clever.extreme_value.interval`), widened to
    include the value; with 16 to 500 maxima of the law, its coverage is 93 to 98 %. The interval and ``flatness``
    ignore the estimator and its penalty, which would bound every law. ``flatness``: by how much the log likelihood at
    the best end point exceeds the one without an end point; 0 if it increases all the way. ``unbounded``: ``high`` is
    infinite; a law without an end point is not rejected. This is the case for 97.5 % of samples from such a law, and
    for shape 5 in 74 % of samples of 32 maxima, 25 % of those of 100 and none of those of 500. ``limited``: the value
    is one range above the sample maximum, although the likelihood is larger beyond it. For ``r_largest`` the interval
    is that of its own likelihood; the law and K-S numbers are those of the maxima.
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
    """The estimated end point of each sample (Weng et al. 2018, section 4.1).

    ``largest``: the batch maxima, (samples, N_b), or the largest values of each batch in descending order,
    (samples, N_b, kept); all estimators but ``r_largest`` use only the maxima. `InputError` for NaN, infinite or
    negative values, and for fewer than 5 batches if a law is fitted.

        clever.end_points(scores[0].maxima, "profile")[0].value
    """
    estimator = Estimator.parse(estimator)
    rule = estimator.rule
    largest = np.atleast_2d(largest).astype(np.float64)
    if largest.ndim == 2:
        largest = largest[:, :, None]
    _check(largest, estimator)
    maxima, used = largest[:, :, 0], largest[:, :, : None if rule.n_largest else 1]
    top = maxima.max(1)
    span = top - maxima.min(1)
    equal = span <= RESOLUTION * top
    fitted = np.full(len(maxima), rule.fit is not None) & ~equal
    steps = np.diff(np.sort(maxima, axis=1), axis=1)
    discrete = (steps <= ROUNDING * top[:, None]).sum(1) > max(1, REPEATED * maxima.shape[1])
    if used.shape[2] > 1:
        # Only within batches: among thousands of values some are that close by chance.
        steps_within = -np.diff(largest, axis=2)
        discrete |= (steps_within <= ROUNDING * top[:, None, None]).mean((1, 2)) > REPEATED
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
    """The points updated with laws fitted to ``used`` and tested on the maxima z, both in units of ``span``."""
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
        raise InputError("the largest values of each batch must be in descending order")
    min_batches = estimator.rule.min_batches
    if largest.shape[1] < min_batches:
        raise InputError(
            f"{largest.shape[1]} batch maxima (N_b): the estimator {estimator} needs at least {min_batches}"
        )
