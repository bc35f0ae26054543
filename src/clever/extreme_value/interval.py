"""Intervals of the end point: all whose profile likelihood is not too far below the best."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value.cutoffs import cutoffs
from clever.extreme_value.profile import GRID, Profile, peak, reciprocal_gap
from clever.extreme_value.weibull import Array

BISECTIONS = 12
"""Halvings of a cell of the grid: the ends are exact to 1e-4 of the gap."""
AT_ONCE = 2**17
"""Numbers that are looked at together: what the nearer caches of a processor hold."""


@dataclass(frozen=True)
class Interval:
    """Nominal 95 % intervals of the gap between sample maximum and end point, (samples,) each, in the unit of z.

    ``best``: of the largest likelihood; ``high`` and ``best`` can be infinite. ``flatness``: how far the log likelihood
    falls from there to the law without an end point; 0 where ``best`` is infinite.
    """

    low: Array
    best: Array
    high: Array
    flatness: Array


def intervals(z: Array) -> Interval:
    """Of the samples z, as `Profile` has them, by likelihood ratios with the cutoffs of `clever.extreme_value.cutoffs`.

    2.5 % of samples have a ``low`` above the true gap, and 2.5 % a ``high`` below. Of several values a batch, with the
    cutoffs of as many maxima as there are values.
    """
    parts = [_intervals(rows) for rows in np.array_split(z, -(-z.size // AT_ONCE))]
    return Interval(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Interval)))


def _intervals(z: Array) -> Interval:
    profile = Profile(z)
    n, top = profile.count, peak(profile)

    def end(side: int, within: Array, beyond: NDArray[np.intp]) -> Array:
        """Between a u that is within the interval and the next point of the grid, which is not."""
        none = (beyond < 0) | (beyond == len(GRID))
        without = np.where(none, within, GRID[np.clip(beyond, 0, len(GRID) - 1)])
        for _ in range(BISECTIONS):
            middle = (within + without) / 2
            value, shape = profile(middle)
            held = 2 * (top.value - value) <= cutoffs(n, shape)[side]
            within, without = np.where(held, middle, within), np.where(held, without, middle)
        return within

    fall, grid = 2 * (top.value - top.values), GRID[:, None]
    below, above = cutoffs(n, top.reciprocal_shapes)
    near = np.maximum(top.u, np.where(fall <= below, grid, -np.inf).max(0))
    far = np.minimum(top.u, np.where(fall <= above, grid, np.inf).min(0))
    low = _gap(end(0, near, np.searchsorted(GRID, near, side="right")))
    high = _gap(end(1, far, np.searchsorted(GRID, far, side="left") - 1))
    return Interval(np.where(near == GRID[-1], 0, low), _gap(top.u), high, top.value - top.values[0])


def _gap(u: Array) -> Array:
    gap: Array = 1 / np.maximum(reciprocal_gap(u), 1e-300)
    return np.where(u > 0, gap, np.inf)
