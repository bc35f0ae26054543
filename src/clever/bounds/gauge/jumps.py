"""The jumps that each number of an image can make on a staircase: their gains and costs.

Jump k of a number x0 in one direction crosses k boundaries. ``gain(k)`` is the change of its value on the staircase and
``distance(k)`` how far x0 has to move. Jump 0 stays in place. Both grow with k.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clever.defenses.staircase import Steps

Numbers = Float[Tensor, "row number"]


class Jumps(Protocol):
    """The jumps of each number, (row, number), in one given direction."""

    def best(self, price: Numbers, p: int) -> Tensor:
        """The jump k with the largest price * gain(k) - distance(k)^p; p = 1 or 2."""
        ...

    def within(self, radius: Float[Tensor, "row 1"]) -> Tensor:
        """The furthest jump with distance(k) <= radius."""
        ...

    def most(self) -> Tensor:
        """The furthest possible jump."""
        ...

    def gain(self, k: Tensor) -> Numbers:
        """The gains of the jumps k, >= 0."""
        ...

    def distance(self, k: Tensor) -> Numbers:
        """The distances of the jumps k, >= 0."""
        ...


class Sides(Protocol):
    """The jumps of each number in both directions."""

    def in_direction(self, down: Tensor) -> Jumps:
        """The jumps downwards where the boolean ``down`` (row, number) is true, upwards elsewhere."""
        ...


@dataclass(frozen=True)
class Even:
    """Evenly spaced jumps: ``count`` boundaries ``spacing`` apart, the nearest at ``first`` <= ``spacing``.

    Each gains ``width``. The costs are then convex in the gains for p = 1 and 2, and the best jump has a closed form.
    """

    first: Tensor
    count: Tensor
    spacing: Tensor
    width: Tensor

    def best(self, price: Numbers, p: int) -> Tensor:
        value = price * self.width
        # One more jump pays where the price of its gain reaches its additional cost.
        if p == 1:
            k = torch.where(value >= self.spacing, self.count, 1)
        else:
            k = ((value / self.spacing - 2 * self.first) / (2 * self.spacing) + 1.5).floor_().clamp_(min=1)
        return torch.minimum(k.mul_(value >= self.first**p), self.count)

    def within(self, radius: Float[Tensor, "row 1"]) -> Tensor:
        k = ((radius - self.first) / self.spacing + 1).floor_().clamp_(min=0)
        return torch.minimum(k, self.count)

    def most(self) -> Tensor:
        return self.count

    def gain(self, k: Tensor) -> Numbers:
        return k * self.width

    def distance(self, k: Tensor) -> Numbers:
        return torch.where(k > 0, self.first + (k - 1) * self.spacing, 0)


@dataclass(frozen=True)
class EvenSides:
    """`Even` jumps in both directions; ``first`` and ``count``: (2, ..., number), downwards and upwards."""

    first: Tensor
    count: Tensor
    spacing: Tensor
    width: Tensor

    def in_direction(self, down: Tensor) -> Even:
        return Even(
            torch.where(down, self.first[0], self.first[1]),
            torch.where(down, self.count[0], self.count[1]),
            self.spacing,
            self.width,
        )


@dataclass(frozen=True)
class Listed:
    """Jumps with arbitrary gains and distances, (row, number, 1 + most), padded with the last jump.

    ``hulls``: for each p the slopes and corners of `_hull`.
    """

    gains: Tensor
    distances: Tensor
    hulls: dict[int, tuple[Tensor, Tensor]]

    def best(self, price: Numbers, p: int) -> Tensor:
        slopes, corners = self.hulls[p]
        corner = torch.searchsorted(slopes, price.unsqueeze(-1), right=True)
        return corners.gather(-1, corner).squeeze(-1)

    def within(self, radius: Float[Tensor, "row 1"]) -> Tensor:
        radii = radius.expand(self.distances.shape[:-1]).unsqueeze(-1).contiguous()
        return torch.searchsorted(self.distances, radii, right=True).squeeze(-1) - 1

    def most(self) -> Tensor:
        return torch.full(self.gains.shape[:-1], self.gains.shape[-1] - 1, device=self.gains.device)

    def gain(self, k: Tensor) -> Numbers:
        return self.gains.gather(-1, k.unsqueeze(-1)).squeeze(-1)

    def distance(self, k: Tensor) -> Numbers:
        return self.distances.gather(-1, k.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class ListedSides:
    """`Listed` jumps in both directions, from tables for the distinct numbers of the images: (2, distinct, 1 + most).

    ``which``: the row of each number in these tables.
    """

    which: Int[Tensor, "row number"]
    gains: Tensor
    distances: Tensor
    hulls: dict[int, tuple[Tensor, Tensor]]

    def in_direction(self, down: Tensor) -> Listed:
        side, which = (~down).long(), self.which.expand(down.shape)

        def select(table: Tensor) -> Tensor:
            return table[side, which]

        hulls = {p: (select(slopes), select(corners)) for p, (slopes, corners) in self.hulls.items()}
        return Listed(select(self.gains), select(self.distances), hulls)


def sides(steps: Steps, images: Numbers, transformed: Numbers) -> Sides:
    """The jumps of images x0 with ``transformed`` values t(x0), which determine the level of each number.

    If rounding puts a number on the wrong side of a boundary, its distance to that boundary is 0.
    """
    levels, boundaries = steps.levels.to(images), steps.boundaries.to(images)
    level = torch.bucketize(transformed, (levels[1:] + levels[:-1]) / 2)
    if _is_even(steps):
        padded = torch.nn.functional.pad(boundaries, (1, 1))
        first = torch.stack([images - padded[level], padded[level + 1] - images]).clamp(min=0)
        count = torch.stack([level, len(boundaries) - level]).to(images)
        return EvenSides(first, count, boundaries[1] - boundaries[0], levels[1] - levels[0])
    return _listed(images, level, boundaries, levels)


def _is_even(steps: Steps) -> bool:
    gaps, widths = steps.boundaries.diff(), steps.levels.diff()
    if not len(gaps):
        return False
    first, last = steps.boundaries[0], steps.boundaries[-1]
    even = all(bool(torch.isclose(values, values[0], rtol=1e-6, atol=1e-9).all()) for values in (gaps, widths))
    return even and max(float(first), float(1 - last)) <= float(gaps[0]) * (1 + 1e-6)


def _listed(images: Tensor, level: Tensor, boundaries: Tensor, levels: Tensor) -> ListedSides:
    pairs, which = torch.unique(
        torch.stack([images.flatten(), level.flatten().to(images)], 1), dim=0, return_inverse=True
    )
    number, start, most = pairs[:, :1], pairs[:, 1:].long(), len(boundaries)
    k = torch.arange(most + 1, device=images.device)
    gains, distances = [], []
    for sign in (-1, 1):
        reached = (start + sign * torch.minimum(k, start if sign < 0 else most - start)).clamp(0, most)
        crossed = reached + (0 if sign < 0 else -1)
        moved = (sign * (boundaries[crossed.clamp(0, most - 1)] - number)).clamp(min=0)
        distances.append(torch.where(reached == start, 0, moved))
        gains.append(sign * (levels[reached] - levels[start]))
    gain, distance = torch.stack(gains), torch.stack(distances)
    hulls = {p: _hull(gain, distance**p) for p in (1, 2)}
    return ListedSides(which.view(images.shape), gain, distance, hulls)


def _hull(gain: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """The lower convex hull of costs over gains (..., 1 + most), starting at jump 0.

    Returns slopes (..., most) in increasing order, infinite after the end of the hull, and corners (..., 1 + most):
    corner j is the best jump at prices between slopes j - 1 and j.
    """
    most = gain.shape[-1] - 1
    corner = torch.zeros(gain.shape[:-1], dtype=torch.long, device=gain.device).unsqueeze(-1)
    slopes, corners = [], [corner]
    for _ in range(most):
        more_gain, more_cost = gain - gain.gather(-1, corner), cost - cost.gather(-1, corner)
        slope = torch.where(more_gain > 0, more_cost / more_gain.clamp(min=1e-30), torch.inf)
        least = slope.amin(-1, keepdim=True)
        # among equal slopes the furthest jump
        last = most - (slope == least).flip(-1).to(torch.uint8).argmax(-1, keepdim=True)
        corner = torch.where(least.isfinite(), last, corner)
        slopes.append(least)
        corners.append(corner)
    increasing = torch.cat(slopes, -1).cummax(-1).values if slopes else gain[..., :0]
    return increasing.contiguous(), torch.cat(corners, -1)
