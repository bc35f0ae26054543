"""The exact Linf distance to a class of a small ReLU network: a mixed integer linear programme (Tjeng et al. 2019).

minimise t over x, t, h1, h2 and a binary a for each unit, such that |x - x0| <= t, x in [0,1]^d, g(x) <= 0, and for a
unit z = w'y + b with l <= z <= u: h >= z, h >= 0, h <= z - l (1 - a), h <= u a. The bounds l, u hold in the ball of an
adversarial image's distance, within which the nearest one lies. A unit whose sign is known has its a.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from relu_net import Array, Margin, box
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

GAP = 1e-6
"""Relative, between the best point and the proven bound, at which a programme ends."""
TOLERANCE = 1e-4
"""Of the margin at x0: as much may g be above 0 at the point that the solver returns, which allows itself 1e-6 in every
inequality; and of the distance: as much may that point be further away than t."""

OPTIMAL, STOPPED = 0, 1
"""What scipy calls a proven optimum, and an end for lack of time."""


@dataclass(frozen=True)
class Nearest:
    """``distance``: t, NaN where none was proven in time. ``x``: where it is reached."""

    distance: float
    x: Array


def nearest(margin: Margin, x0: Array, attack: float, seconds: float) -> Nearest:
    """The image with g <= 0 that is nearest to x0 in Linf, given that there is one at the distance ``attack``.

    `AssertionError` where the solver finds none, or its answer is none: further away, or not of the other class.
    """
    radius = attack * (1 + TOLERANCE)
    low, high = box(x0, radius)
    programme = _Programme(len(x0), [len(shift) for shift in margin.shifts])
    programme.bound(programme.x, low, high)
    programme.bound(programme.t, 0, radius)
    identity = np.eye(len(x0))
    programme.add([(programme.x, identity), (programme.t, -1)], -np.inf, x0)
    programme.add([(programme.x, identity), (programme.t, 1)], x0, np.inf)
    before = programme.x
    layers = zip(margin.weights, margin.shifts, margin.before_relu(low, high), strict=True)
    for layer, (weight, shift, (least, most)) in enumerate(layers):
        after, on, unit = programme.h[layer], programme.a[layer], np.eye(len(shift))
        lower, upper = np.minimum(least, 0), np.maximum(most, 0)
        programme.bound(after, 0, upper)
        programme.bound(on, least >= 0, most > 0)
        programme.add([(after, unit), (before, -weight)], shift, np.inf)
        programme.add([(after, unit), (before, -weight), (on, -np.diag(lower))], -np.inf, shift - lower)
        programme.add([(after, unit), (on, -np.diag(upper))], -np.inf, 0)
        before = after
    programme.add([(before, margin.last[None])], -np.inf, -margin.constant)
    found = programme.solved(seconds)
    assert found.status in (OPTIMAL, STOPPED), f"no image within {radius} of the other class: {found.message}"
    if found.status == STOPPED:
        return Nearest(np.nan, np.full_like(x0, np.nan))
    x, distance = found.x[programme.x], float(found.fun)
    assert distance <= radius * (1 + GAP), f"exact {distance}, attack {attack}"
    assert margin(x) <= TOLERANCE * margin(x0), f"g is {margin(x)} where it should be 0; at the image {margin(x0)}"
    assert np.abs(x - x0).max() <= distance * (1 + TOLERANCE), f"{np.abs(x - x0).max()} away, not {distance}"
    return Nearest(distance, x)


class _Programme:
    """The variables x, t, and h, a of each layer, one after the other, with what is asked of them."""

    def __init__(self, inputs: int, layers: list[int]) -> None:
        ends = np.cumsum([0, inputs, 1, *(size for hidden in layers for size in (hidden, hidden))])
        self.x, self.t, *rest = (slice(int(a), int(b)) for a, b in pairwise(ends))
        self.h, self.a = rest[::2], rest[1::2]
        self.size = int(ends[-1])
        self.low, self.high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        self.rows: list[LinearConstraint] = []

    def bound(self, of: slice, low: Array | float, high: Array | float | NDArray[np.bool_]) -> None:
        """low <= the variables <= high."""
        self.low[of], self.high[of] = low, high

    def add(self, blocks: list[tuple[slice, Array | float]], low: Array | float, high: Array | float) -> None:
        """low <= the sum of the blocks, each times its variables, <= high."""
        height = max(np.shape(block)[0] for _, block in blocks if np.ndim(block))
        matrix = np.zeros((height, self.size))
        for of, block in blocks:
            matrix[:, of] = block
        self.rows.append(LinearConstraint(csr_array(matrix), low, high))

    def solved(self, seconds: float):
        """What HiGHS makes of it, t the least."""
        cost, whole = np.zeros(self.size), np.zeros(self.size)
        cost[self.t] = 1
        for on in self.a:
            whole[on] = 1
        options = {"time_limit": seconds, "mip_rel_gap": GAP}
        return milp(cost, integrality=whole, bounds=Bounds(self.low, self.high), constraints=self.rows, options=options)
