"""Confidence intervals of the end point by profile likelihood."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value.cutoffs import cutoffs
from clever.extreme_value.profile import GRID, Profile, peak, reciprocal_gap
from clever.extreme_value.weibull import Array

BISECTIONS = 12
"""Bisection steps within a grid interval: the ends are accurate to 1e-4 of the gap."""
BLOCK_SIZE = 2**17
"""Values processed together: they fit in a processor's inner caches."""


@dataclass(frozen=True)
class Interval:
    """Nominal 95 % intervals of the gap between sample maximum and end point, (samples,) each, in the unit of z.

    ``best``: the gap of maximum likelihood; ``high`` and ``best`` can be infinite. ``flatness``: the drop of the log
    likelihood from there to the law without an end point; 0 where ``best`` is infinite.
    """

    low: Array
    best: Array
    high: Array
    flatness: Array


def intervals(z: Array) -> Interval:
    """Likelihood-ratio intervals for the samples z (see `Profile`), with the cutoffs of `clever.extreme_value.cutoffs`.

    Nominally ``low`` exceeds the true gap in 2.5 % of samples, and ``high`` falls short of it in 2.5 %. For several
    values per batch, the cutoffs are those for as many maxima as there are values.
    """
    parts = [_intervals(rows) for rows in np.array_split(z, -(-z.size // BLOCK_SIZE))]
    return Interval(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Interval)))


def _intervals(z: Array) -> Interval:
    profile = Profile(z)
    n, top = profile.count, peak(profile)

    def end(side: int, inside: Array, outside: NDArray[np.intp]) -> Array:
        """Bisect between ``inside``, a u in the interval, and the grid point ``outside``, the next one beyond it."""
        at_edge = (outside < 0) | (outside == len(GRID))
        excluded = np.where(at_edge, inside, GRID[np.clip(outside, 0, len(GRID) - 1)])
        for _ in range(BISECTIONS):
            middle = (inside + excluded) / 2
            value, shape = profile(middle)
            is_inside = 2 * (top.value - value) <= cutoffs(n, shape)[side]
            inside, excluded = np.where(is_inside, middle, inside), np.where(is_inside, excluded, middle)
        return inside

    drop, grid = 2 * (top.value - top.values), GRID[:, None]
    below, above = cutoffs(n, top.reciprocal_shapes)
    near = np.maximum(top.u, np.where(drop <= below, grid, -np.inf).max(0))
    far = np.minimum(top.u, np.where(drop <= above, grid, np.inf).min(0))
    low = _gap(end(0, near, np.searchsorted(GRID, near, side="right")))
    high = _gap(end(1, far, np.searchsorted(GRID, far, side="left") - 1))
    return Interval(np.where(near == GRID[-1], 0, low), _gap(top.u), high, top.value - top.values[0])


def _gap(u: Array) -> Array:
    gap: Array = 1 / np.maximum(reciprocal_gap(u), 1e-300)
    return np.where(u > 0, gap, np.inf)
