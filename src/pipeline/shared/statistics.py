"""Intervals, and ratios on a logarithmic scale."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

RESAMPLES = 2000
LEVEL = 0.95


def interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean, for infinite values too; NaN for no values."""
    if not len(values):
        return np.nan, np.nan
    generator, at_once = np.random.default_rng(seed), max(1, 10**6 // len(values))
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    drawn = (generator.integers(0, len(values), (size, len(values))) for size in sizes)
    means = np.sort(np.concatenate([values[rows].mean(1) for rows in drawn]))
    tail = int(RESAMPLES * (1 - LEVEL) / 2)
    return float(means[tail]), float(means[-1 - tail])


def log_ratio(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of each ratio that is defined: both positive, the reference finite."""
    known = (reference > 0) & (scores > 0) & np.isfinite(reference)
    return np.log(scores[known]) - np.log(reference[known])


def share_interval(count: int, total: int) -> tuple[float, float]:
    """The exact binomial interval of a share (Clopper and Pearson)."""
    inside = binomtest(count, total).proportion_ci(LEVEL)
    return float(inside.low), float(inside.high)
