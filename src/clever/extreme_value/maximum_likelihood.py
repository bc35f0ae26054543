"""End points by maximum likelihood from several starts: the authors' way, and the same without its penalty."""

from dataclasses import fields

import numpy as np

from clever.extreme_value.laws import LEAST_PVALUE, LONGEST, Laws, Samples, likeliest_laws
from clever.extreme_value.weibull import Array, Fit, kolmogorov_smirnov, minimise

SHAPES = (0.1, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""The authors' starts of the shape; gap 0.1 and scale 1, in units of the range of the maxima, go with each."""
PENALTY = 0.01
"""The authors' weight on the squared scale, which is in units of the range of the maxima."""
SAME = 1e-6
"""K-S statistics that differ by less are those of the same fit."""


def mle_reg(samples: Samples) -> Laws:
    """Of the penalised likelihood, the start with the best K-S p-value."""
    fit, statistic, pvalue = _fits(samples.maxima, PENALTY)
    # For one sample size the smallest statistic is the largest p-value. Starts that ended in the same maximum
    # differ in the last digit only, which must not decide: the first of them wins.
    best = (statistic <= statistic.min(1, keepdims=True) + SAME).argmax(1)
    return _chosen(fit, statistic, pvalue, best, pvalue[np.arange(len(best)), best] >= LEAST_PVALUE)


def mle(samples: Samples) -> Laws:
    """The best proper local maximum of the likelihood; without one, the likeliest law that ends `LONGEST` above."""
    fit, statistic, pvalue = _fits(samples.maxima, 0.0)
    proper = np.where(fit.interior & (fit.shape > 1), fit.loss, np.inf)
    laws = _chosen(fit, statistic, pvalue, proper.argmin(1), np.isfinite(proper.min(1)))
    limited = ~laws.good & samples.endless
    if limited.any():
        longest = np.full(limited.sum(), LONGEST)
        instead = likeliest_laws(samples.maxima[limited], samples.used[limited], longest, limited[limited])
        for field in fields(Laws):
            getattr(laws, field.name)[limited] = getattr(instead, field.name)
    return laws


def _fits(z: Array, penalty: float) -> tuple[Fit, Array, Array]:
    """From every start, with K-S statistics and p-values."""
    fit = minimise(z, np.array([[0.1, shape, 1.0] for shape in SHAPES]), penalty)
    return fit, *kolmogorov_smirnov(z, fit.gap, fit.shape, fit.scale)


def _chosen(fit: Fit, statistic: Array, pvalue: Array, best: np.ndarray, good: np.ndarray) -> Laws:
    """The law of the best start of each sample."""
    found = (fit.gap, fit.shape, fit.scale, statistic, pvalue, np.tile(SHAPES, (len(best), 1)))
    gap, shape, scale, statistic, pvalue, start = (of_start[np.arange(len(best)), best] for of_start in found)
    return Laws(gap, shape, scale, statistic, pvalue, start, good, np.zeros(len(best), bool))
