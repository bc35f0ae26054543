"""Bisection of many intervals at once."""

from collections.abc import Callable

import torch
from torch import Tensor


def bisect(is_low: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, halvings: int) -> tuple[Tensor, Tensor]:
    """The ends of each interval after ``halvings`` steps: the middle replaces ``low`` where ``is_low(middle)``, else
    ``high``. All shapes are equal."""
    for _ in range(halvings):
        middle = (low + high) / 2
        replaces_low = is_low(middle)
        low, high = torch.where(replaces_low, middle, low), torch.where(replaces_low, high, middle)
    return low, high
