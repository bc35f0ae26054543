"""Optimisers of torch with their learning rate schedules."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from clever._internal.checks import is_number
from clever.errors import InputError

Schedule = tuple[Optimizer, LRScheduler]
"""An optimiser and its learning rate schedule."""


@dataclass(frozen=True)
class OneCycle:
    """AdamW with a one-cycle schedule: the learning rate rises to the recipe's and falls again."""

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float, steps: int) -> Schedule:
        """Optimiser and schedule for a training of ``steps`` steps."""
        optimiser = AdamW(parameters, lr=learning_rate, weight_decay=0.01)
        return optimiser, OneCycleLR(optimiser, max_lr=learning_rate, total_steps=steps)


@dataclass(frozen=True)
class Nesterov:
    """SGD with Nesterov momentum and learning rate (the recipe's) / (1 + ``decay`` k) at step k, counted from 0.

    As Keras's SGD, except that Keras multiplies each gradient by the learning rate of its own step before accumulating:
    with a memory of 1 / (1 - momentum) steps, the relative difference is at most decay / (1 - momentum).
    """

    momentum: float
    decay: float

    def __post_init__(self) -> None:
        if not is_number(self.momentum) or not 0 < self.momentum < 1:
            raise InputError(f"weights.optimiser.momentum is {self.momentum!r}: it must be more than 0 and less than 1")
        if not is_number(self.decay) or not 0 <= self.decay < float("inf"):
            raise InputError(f"weights.optimiser.decay is {self.decay!r}: it must be a number of at least 0")

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float, steps: int) -> Schedule:
        """Optimiser and schedule for a training of ``steps`` steps."""
        optimiser = SGD(parameters, lr=learning_rate, momentum=self.momentum, nesterov=True)
        return optimiser, LambdaLR(optimiser, lambda step: 1 / (1 + self.decay * step))
