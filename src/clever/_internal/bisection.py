"""Bisection of many intervals at once."""

from collections.abc import Callable

import torch
from torch import Tensor


def bisected(short: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, halvings: int) -> tuple[Tensor, Tensor]:
    """The ends of each interval after so many halvings: ``short`` says, number by number, where the middle falls short
    of what is looked for, so that it becomes the low end. Shapes as those of ``low`` and ``high``, all the same."""
    for _ in range(halvings):
        middle = (low + high) / 2
        below = short(middle)
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low, high
