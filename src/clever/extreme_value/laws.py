"""Input and output of an estimator of the end point: samples of maxima, and the laws fitted to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value.interval import Interval
from clever.extreme_value.profile import fit_shape_scale
from clever.extreme_value.weibull import Array, kolmogorov_smirnov

MIN_PVALUE = 0.001
"""Fits with a smaller K-S p-value are rejected, as in the authors' code; the sample maximum is used instead."""
MAX_GAP = 1.0
"""The largest gap between sample maximum and end point, in ranges of the maxima, where the data set no limit."""
MIN_BATCHES = 5
"""The fewest maxima that a fit of three parameters needs; a good fit needs tens."""


@dataclass(frozen=True)
class Samples:
    """Samples of N_b maxima, as distances below the sample maximum in units of the sample's range.

    ``maxima``: (samples, N_b), from 0 to 1, not all equal. ``used``: (samples, N_b, values), the values that enter the
    likelihood (`Rule.n_largest`), in the same units, smallest distance first. ``interval``: of the gap between sample
    maximum and end point, by their profile likelihood.
    """

    maxima: Array
    used: Array
    interval: Interval

    @property
    def unbounded(self) -> NDArray[np.bool_]:
        """Where a law without an end point is not rejected and the likelihood is largest beyond `MAX_GAP`."""
        return np.isinf(self.interval.high) & (self.interval.best > MAX_GAP)


@dataclass(frozen=True)
class Laws:
    """The law fitted to each sample, in the sample's units, (samples,) each.

    ``gap``: between sample maximum and end point. ``start``: see `clever.extreme_value.estimators.EndPoint`. ``good``:
    whether the fit is accepted; otherwise the sample maximum is the end point. ``limited``: the gap is `MAX_GAP`,
    although the likelihood is larger beyond it.
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
    def from_gaps(cls, gap: Array) -> Self:
        """End points alone, accepted without a fitted law: shape, scale and K-S test are NaN."""
        unknown, no = np.full(len(gap), np.nan), np.zeros(len(gap), bool)
        return cls(gap, unknown, unknown, unknown, unknown, unknown, good=~no, limited=no)


def laws_at_gaps(maxima: Array, used: Array, gap: Array, limited: NDArray[np.bool_]) -> Laws:
    """The maximum-likelihood law of each sample at the given gap; ``good`` where the K-S test does not reject it."""
    reach = used.max((1, 2))
    shape, scale = fit_shape_scale(used / reach[:, None, None], gap / reach)
    scale *= reach
    columns = (parameter[:, None] for parameter in (gap, shape, scale))
    statistic, pvalue = (column[:, 0] for column in kolmogorov_smirnov(maxima, *columns))
    start = np.full(len(maxima), np.nan)
    return Laws(gap, shape, scale, statistic, pvalue, start, pvalue >= MIN_PVALUE, limited)


@dataclass(frozen=True)
class Rule:
    """The implementation of an estimator.

    ``fit``: fits laws to samples; None if the sample maximum is the estimate. ``n_largest``: maps N_s to the number of
    largest values per batch that enter the likelihood; None for the maximum alone. ``min_batches``: the fewest batches
    that it needs.
    """

    fit: Callable[[Samples], Laws] | None
    n_largest: Callable[[int], int] | None = None
    min_batches: int = MIN_BATCHES
