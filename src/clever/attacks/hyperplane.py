"""The nearest image beyond a hyperplane: DeepFool's step (Moosavi-Dezfooli et al. 2016) within the pixel range."""

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.bisection import bisect
from clever.norms import Norm

HALVINGS = 40
"""Bisection steps for the multiplier: beyond single precision."""


def nearest_beyond(
    images: Float[Tensor, "row ..."], gradients: Float[Tensor, "row ..."], margins: Float[Tensor, " row"], norm: Norm
) -> Float[Tensor, "row ..."]:
    """The x' in [0,1]^d nearest to x0 with <G, x' - x0> <= -g, for each row of x0, G and g > 0.

    ||x' - x0||_p is g / ||G||_q unless the pixel range limits it. Each number moves against its gradient: in proportion
    to |G| (L2), all by the same amount (Linf), or as far as possible in order of decreasing |G| (L1). Where the range
    is too small to reach -g, x' is the corner of [0,1]^d furthest against the gradient.
    """
    steep, start, goal = gradients.flatten(1).abs(), images.flatten(1), margins.unsqueeze(1)
    down = gradients.flatten(1) > 0
    room = torch.where(down, start, 1 - start)
    moved = _steepest_first(steep, room, goal) if norm is Norm.L1 else _together(steep, room, goal, norm)
    return (start + torch.where(down, -moved, moved)).clamp(0, 1).view_as(images)


def _steepest_first(steep: Tensor, room: Tensor, goal: Tensor) -> Tensor:
    order = steep.argsort(1, descending=True)
    ordered, gains = steep.gather(1, order), (steep * room).gather(1, order)
    missing = (goal - gains.cumsum(1) + gains).clamp(min=0)  # what all earlier numbers leave to be gained
    share = missing / ordered.clamp(min=torch.finfo(steep.dtype).tiny)
    return torch.zeros_like(steep).scatter(1, order, torch.minimum(room.gather(1, order), share))


def _together(steep: Tensor, room: Tensor, goal: Tensor, norm: Norm) -> Tensor:
    speed = steep / steep.amax(1, keepdim=True).clamp(min=1e-30) if norm is Norm.L2 else (steep > 0).to(steep)
    # The upper end lets the slowest number cross the whole range.
    low, high = torch.zeros_like(goal), (1 / speed.where(speed > 0, 1).amin(1, keepdim=True)).clamp(max=1e6)

    def short(reach: Tensor) -> Tensor:
        return (steep * torch.minimum(reach * speed, room)).sum(1, keepdim=True) < goal

    _, reach = bisect(short, low, high, HALVINGS)
    return torch.minimum(reach * speed, room)
