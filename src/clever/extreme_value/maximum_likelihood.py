"""End points by maximum likelihood from several starts: the authors' method, and the same without its penalty."""

from dataclasses import fields

import numpy as np

from clever.extreme_value.laws import MAX_GAP, MIN_PVALUE, Laws, Samples, laws_at_gaps
from clever.extreme_value.weibull import Array, Fit, kolmogorov_smirnov, minimise

SHAPES = (0.1, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""The authors' starting values of the shape, each with gap 0.1 and scale 1 in units of the range of the maxima."""
PENALTY = 0.01
"""The authors' weight of the squared scale, the scale in units of the range of the maxima."""
KS_TOLERANCE = 1e-6
"""Smaller differences of K-S statistics are due to rounding."""


def mle_reg(samples: Samples) -> Laws:
    """Maximum penalised likelihood; of all starts, the fit with the best K-S p-value."""
    fit, statistic, pvalue = _fits(samples.maxima, PENALTY)
    # The smallest statistic has the largest p-value. Starts that reach the same maximum differ by rounding only: the
    # first of them is taken.
    best = (statistic <= statistic.min(1, keepdims=True) + KS_TOLERANCE).argmax(1)
    return _chosen(fit, statistic, pvalue, best, pvalue[np.arange(len(best)), best] >= MIN_PVALUE)


def mle(samples: Samples) -> Laws:
    """The best proper local maximum of the likelihood; without one, the maximum-likelihood law with gap `MAX_GAP`."""
    fit, statistic, pvalue = _fits(samples.maxima, 0.0)
    proper = np.where(fit.interior & (fit.shape > 1), fit.loss, np.inf)
    laws = _chosen(fit, statistic, pvalue, proper.argmin(1), np.isfinite(proper.min(1)))
    limited = ~laws.good & samples.unbounded
    if limited.any():
        gaps = np.full(limited.sum(), MAX_GAP)
        replacement = laws_at_gaps(samples.maxima[limited], samples.used[limited], gaps, limited[limited])
        for field in fields(Laws):
            getattr(laws, field.name)[limited] = getattr(replacement, field.name)
    return laws


def _fits(z: Array, penalty: float) -> tuple[Fit, Array, Array]:
    """Fits from every start, with K-S statistics and p-values."""
    fit = minimise(z, np.array([[0.1, shape, 1.0] for shape in SHAPES]), penalty)
    return fit, *kolmogorov_smirnov(z, fit.gap, fit.shape, fit.scale)


def _chosen(fit: Fit, statistic: Array, pvalue: Array, best: np.ndarray, good: np.ndarray) -> Laws:
    """The law from the best start of each sample."""
    columns = (fit.gap, fit.shape, fit.scale, statistic, pvalue, np.tile(SHAPES, (len(best), 1)))
    gap, shape, scale, statistic, pvalue, start = (column[np.arange(len(best)), best] for column in columns)
    return Laws(gap, shape, scale, statistic, pvalue, start, good, np.zeros(len(best), bool))
