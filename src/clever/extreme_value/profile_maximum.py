"""End points that maximise the profile likelihood of the maxima, or of several values per batch."""

import numpy as np

from clever.extreme_value.laws import MAX_GAP, Laws, Samples, laws_at_gaps

TAIL_DIVISOR = 128
"""Reciprocal of the fraction of a batch that counts as its tail (benchmarks/estimators.py)."""


def profile(samples: Samples) -> Laws:
    """The maximum-likelihood law of shape 1 or more, with gap `MAX_GAP` where the samples are `Samples.unbounded`."""
    limited = samples.unbounded
    return laws_at_gaps(samples.maxima, samples.used, np.where(limited, MAX_GAP, samples.interval.best), limited)


def n_tail(n_samples: int) -> int:
    """How many of the largest values of a batch of N_s points follow the law of the maximum."""
    return max(1, n_samples // TAIL_DIVISOR)
