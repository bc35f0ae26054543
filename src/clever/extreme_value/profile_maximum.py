"""End points by the maximum of the profile likelihood, of the maxima or of several values of each batch."""

import numpy as np

from clever.extreme_value.laws import LONGEST, Laws, Samples, likeliest_laws

TAIL = 128
"""One in so many points of a batch belongs to its tail (benchmarks/estimators.py)."""


def profile(samples: Samples) -> Laws:
    """The likeliest law of shape 1 or more, its end point at most `LONGEST` above where nothing sets it a limit."""
    limited = samples.endless
    return likeliest_laws(samples.maxima, samples.used, np.where(limited, LONGEST, samples.interval.best), limited)


def tail(n_samples: int) -> int:
    """How many of the largest values of a batch of N_s points follow the law of the largest ones."""
    return max(1, n_samples // TAIL)
