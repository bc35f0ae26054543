"""What an estimator of the end point is given, and what it makes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value.interval import Interval
from clever.extreme_value.profile import likeliest
from clever.extreme_value.weibull import Array, kolmogorov_smirnov

LEAST_PVALUE = 0.001
"""Below this K-S p-value the authors distrust every fit and take the sample maximum."""
LONGEST = 1.0
"""Ranges of the maxima that an end point is above the sample maximum at the most where the data set it no limit."""
FEWEST_BATCHES = 5
"""Maxima that a fit of three parameters needs at least; for a good fit, tens."""


@dataclass(frozen=True)
class Samples:
    """Samples of N_b maxima that differ, each in units of its own range, as distances below its largest maximum.

    ``maxima``: (samples, N_b), from 0 to 1. ``used``: (samples, N_b, values), largest values first, that is smallest
    distances: what the likelihood is of (`Rule.values`), in the same units. ``interval``: of the distance of the end
    point above the largest maximum, by the profile likelihood of these.
    """

    maxima: Array
    used: Array
    interval: Interval

    @property
    def endless(self) -> NDArray[np.bool_]:
        """Where the likelihood grows up to a law without an end point, or one further than `LONGEST`."""
        return np.isinf(self.interval.high) & (self.interval.best > LONGEST)


@dataclass(frozen=True)
class Laws:
    """A law for each sample, in its units, (samples,) each; ``good`` where it may be used, else the sample maximum is.

    ``gap``: of the end point above the largest maximum. ``start``: `clever.extreme_value.estimators.EndPoint`.
    ``limited``: the gap is `LONGEST`, beyond which the likelihood is larger yet.
    """

    gap: Array
    shape: Array
    scale: Array
    ks_statistic: Array
    ks_pvalue: Array
    start: Array
    good: NDArray[np.bool_]
    limited: NDArray[np.bool_]

    @classmethod
    def unknown(cls, gap: Array) -> Self:
        """End points without a law."""
        nan, no = np.full(len(gap), np.nan), np.zeros(len(gap), bool)
        return cls(gap, nan, nan, nan, nan, nan, good=~no, limited=no)


def likeliest_laws(maxima: Array, used: Array, gap: Array, limited: NDArray[np.bool_]) -> Laws:
    """The likeliest law of the maxima with each gap, given the values used; good where the K-S test lets it pass."""
    reach = used.max((1, 2))
    shape, scale = likeliest(used / reach[:, None, None], gap / reach)
    scale *= reach
    law = (of_law[:, None] for of_law in (gap, shape, scale))
    statistic, pvalue = (of_law[:, 0] for of_law in kolmogorov_smirnov(maxima, *law))
    unknown = np.full(len(maxima), np.nan)
    return Laws(gap, shape, scale, statistic, pvalue, unknown, pvalue >= LEAST_PVALUE, limited)


@dataclass(frozen=True)
class Rule:
    """How an estimator works.

    ``fit``: the laws of samples; None where there is none, and the sample maximum is the end point. ``values``: how
    many of the largest values of a batch of N_s points the likelihood is of; None: of the maximum alone. ``fewest``:
    the batches that it needs at least.
    """

    fit: Callable[[Samples], Laws] | None
    values: Callable[[int], int] | None = None
    fewest: int = FEWEST_BATCHES
