"""Joining overlapping image pieces along minimum-error seams (Efros and Freeman 2001)."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def seam_mask(error: Float[Tensor, "*piece length width"]) -> Bool[Tensor, "*piece length width"]:
    """True on the cheapest seam and to the right of it.

    The seam has one column in each row, at most one away from that in the previous row; its cost is the sum of the
    errors along it.
    """
    width = error.shape[-1]
    costs = [error[..., 0, :]]
    for row in error.unbind(-2)[1:]:
        costs.append(row + _neighbours(costs[-1]).amin(-1))
    column = costs[-1].argmin(-1, keepdim=True)
    columns = [column]
    for cost in reversed(costs[:-1]):
        near = _neighbours(cost).gather(-2, column.unsqueeze(-1).expand(*column.shape, 3)).squeeze(-2)
        column = column + near.argmin(-1, keepdim=True) - 1
        columns.append(column)
    return torch.arange(width, device=error.device) >= torch.stack(columns[::-1], -2)


def join(
    pieces: Sequence[Float[Tensor, "*strip channel length piece"]], starts: Sequence[int]
) -> Float[Tensor, "*strip channel length whole"]:
    """Pieces placed side by side at their start columns; each overlap is cut along its minimum-error seam."""
    whole = pieces[0]
    for piece, start in zip(pieces[1:], starts[1:], strict=True):
        overlap = whole.shape[-1] - start
        old, new = whole[..., start:], piece[..., :overlap]
        use_new = seam_mask((old - new).square().sum(-3)).unsqueeze(-3)
        whole = torch.cat([whole[..., :start], torch.where(use_new, new, old), piece[..., overlap:]], dim=-1)
    return whole


def _neighbours(cost: Float[Tensor, "*piece width"]) -> Float[Tensor, "*piece width 3"]:
    """The costs in the left, the same and the right column; infinite beyond the borders."""
    return functional.pad(cost, (1, 1), value=float("inf")).unfold(-1, 3, 1)
