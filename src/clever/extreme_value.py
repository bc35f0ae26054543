"""The right end point of the reverse Weibull law, estimated from batch maxima."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clever.choice import Choice
from clever.errors import InputError
from clever.weibull import Array, Fit, kolmogorov_smirnov, minimise

SHAPES = (0.1, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""The authors' starts of the shape; gap 0.1 and scale 1, in units of the range of the maxima, go with each."""
PENALTY = 0.01
"""The authors' weight on the squared scale, which is in units of the range of the maxima."""
LEAST_PVALUE = 0.001
"""Below this K-S p-value the authors distrust every fit and take the sample maximum."""
FEWEST_BATCHES = 5
"""Maxima that a fit of three parameters needs at least; for a good fit, tens."""
SAME = 1e-6
"""K-S statistics that differ by less are those of the same fit."""
RESOLUTION = 1e-6
"""Maxima that differ by less, relatively, are equal: single precision cannot tell them apart."""


class Estimator(Choice):
    """How the end point is found.

    ``mle_reg``: the authors' default. Maximum likelihood from seven starts, 0.01 * scale^2 added to the negative log
    likelihood (they meant the shape; the code penalises the scale, which keeps a fit from running away to an unbounded
    law); the start with the best K-S p-value wins; the sample maximum where none reaches 0.001.
    ``mle``: maximum likelihood, the best proper local maximum; the sample maximum where there is none.
    ``maximum``: the sample maximum, which is below the end point.
    """

    MLE_REG = "mle_reg"
    MLE = "mle"
    MAXIMUM = "maximum"


@dataclass(frozen=True)
class EndPoint:
    """An estimated end point, in the unit of the maxima, and what it rests on.

    The law is P(M <= m) = exp(-((value - m)/scale)^shape), m <= value. ``start``: the start of the shape that led to
    it. ``fell_back``: no fit was good enough, the sample maximum stands in. ``degenerate``: all maxima equal, their
    common value is the answer. ``tied``: how many maxima repeat another one. Without a fit, its numbers are NaN;
    after a fall-back, shape and scale are, and K-S numbers and start are of the best fit, which was not good enough.
    ``standard_error``: of ``value``, by the observed information; 0 for equal maxima, NaN without a fit and where the
    information does not say it (`clever.weibull.Fit`). It is too small for few maxima: of nominal 95 % intervals, about
    90 % hold the true end point for 500 maxima, 77 % for 50.
    """

    value: float
    sample_maximum: float
    estimator: Estimator
    shape: float = float("nan")
    scale: float = float("nan")
    ks_statistic: float = float("nan")
    ks_pvalue: float = float("nan")
    start: float = float("nan")
    fell_back: bool = False
    degenerate: bool = False
    tied: int = 0
    standard_error: float = float("nan")


def end_points(maxima: NDArray[np.float32] | Array, estimator: Estimator | str = Estimator.MLE_REG) -> list[EndPoint]:
    """The end point of each row of ``maxima``, (samples, N_b), by `Estimator` (Weng et al. 2018, section 4.1).

    `InputError` for NaN, infinite or negative maxima, and for fewer than `FEWEST_BATCHES` where a law is fitted.
    """
    estimator = Estimator.named(estimator)
    maxima = np.atleast_2d(maxima).astype(np.float64)
    _check(maxima, estimator)
    top = maxima.max(1)
    span = top - maxima.min(1)
    flat = span <= RESOLUTION * top
    points = [
        EndPoint(
            float(m),
            float(m),
            estimator,
            degenerate=bool(same),
            tied=len(row) - len(np.unique(row)),
            standard_error=0.0 if same else float("nan"),
        )
        for m, same, row in zip(top, flat, maxima, strict=True)
    ]
    if estimator is Estimator.MAXIMUM or flat.all():
        return points

    rows = np.flatnonzero(~flat)
    z = (top[rows, None] - maxima[rows]) / span[rows, None]
    starts = np.array([[0.1, shape, 1.0] for shape in SHAPES])
    fit = minimise(z, starts, PENALTY if estimator is Estimator.MLE_REG else 0.0)
    statistic, pvalue = kolmogorov_smirnov(z, fit)
    best, good = _choose(fit, statistic, pvalue, estimator)
    for k, row in enumerate(rows):
        at = (k, best[k])
        points[row] = replace(
            points[row],
            value=float(top[row] + (fit.gap[at] * span[row] if good[k] else 0.0)),
            shape=float(fit.shape[at]) if good[k] else float("nan"),
            scale=float(fit.scale[at] * span[row]) if good[k] else float("nan"),
            ks_statistic=float(statistic[at]),
            ks_pvalue=float(pvalue[at]),
            start=SHAPES[best[k]],
            fell_back=not bool(good[k]),
            standard_error=float(fit.gap_error[at] * span[row]) if good[k] else float("nan"),
        )
    return points


def _choose(
    fit: Fit, statistic: Array, pvalue: Array, estimator: Estimator
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The winning start of each sample, and whether it is good enough to be used."""
    if estimator is Estimator.MLE_REG:
        # For one sample size the smallest statistic is the largest p-value. Starts that ended in the same maximum
        # differ in the last digit only, which must not decide: the first of them wins.
        best = (statistic <= statistic.min(1, keepdims=True) + SAME).argmax(1)
        return best, np.take_along_axis(pvalue, best[:, None], 1)[:, 0] >= LEAST_PVALUE
    proper = np.where(fit.interior & (fit.shape > 1), fit.loss, np.inf)
    best = proper.argmin(1)
    return best, np.isfinite(proper.min(1))


def _check(maxima: Array, estimator: Estimator) -> None:
    if not np.isfinite(maxima).all():
        row, column = np.argwhere(~np.isfinite(maxima))[0]
        raise InputError(f"maximum {column} of sample {row} is {maxima[row, column]}: maxima must be finite")
    if (maxima < 0).any():
        raise InputError(f"the smallest maximum is {maxima.min():g}: norms and curvatures are never negative")
    fewest = 1 if estimator is Estimator.MAXIMUM else FEWEST_BATCHES
    if maxima.shape[1] < fewest:
        raise InputError(f"{maxima.shape[1]} batch maxima (N_b): the estimator {estimator} needs at least {fewest}")
