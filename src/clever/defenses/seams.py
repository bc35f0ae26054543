"""Pieces of images joined along minimum-error boundaries (Efros and Freeman 2001)."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def boundary(error: Float[Tensor, "*piece length width"]) -> Bool[Tensor, "*piece length width"]:
    """Which side of the cheapest path each number is on: True at the path itself and to the right of it.

    The path has a place in every row, next to or diagonally below that of the row before; its cost is the sum of the
    errors that it goes through.
    """
    width = error.shape[-1]
    costs = [error[..., 0, :]]
    for row in error.unbind(-2)[1:]:
        costs.append(row + _neighbours(costs[-1]).amin(-1))
    place = costs[-1].argmin(-1, keepdim=True)
    places = [place]
    for cost in reversed(costs[:-1]):
        near = _neighbours(cost).gather(-2, place.unsqueeze(-1).expand(*place.shape, 3)).squeeze(-2)
        place = place + near.argmin(-1, keepdim=True) - 1
        places.append(place)
    return torch.arange(width, device=error.device) >= torch.stack(places[::-1], -2)


def joined(
    pieces: Sequence[Float[Tensor, "*strip channel length piece"]], starts: Sequence[int]
) -> Float[Tensor, "*strip channel length whole"]:
    """Pieces side by side, each from its start on, cut where they overlap so that the squared difference is least."""
    whole = pieces[0]
    for piece, start in zip(pieces[1:], starts[1:], strict=True):
        overlap = whole.shape[-1] - start
        old, new = whole[..., start:], piece[..., :overlap]
        cut = boundary((old - new).square().sum(-3)).unsqueeze(-3)
        whole = torch.cat([whole[..., :start], torch.where(cut, new, old), piece[..., overlap:]], dim=-1)
    return whole


def _neighbours(cost: Float[Tensor, "*piece width"]) -> Float[Tensor, "*piece width 3"]:
    """The costs at the left, the same and the right place; beyond the borders infinite."""
    return functional.pad(cost, (1, 1), value=float("inf")).unfold(-1, 3, 1)
