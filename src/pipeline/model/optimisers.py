"""How the weights move, step by step: an optimiser of torch's and its learning rate."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from clever._internal.checks import is_number
from clever.errors import InputError

Moving = tuple[Optimizer, LRScheduler]
"""An optimiser, and what sets its learning rate before each step."""


@dataclass(frozen=True)
class OneCycle:
    """AdamW whose learning rate rises to the recipe's and falls again, once in the whole training."""

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float, steps: int) -> Moving:
        """For a training of so many steps."""
        optimiser = AdamW(parameters, lr=learning_rate, weight_decay=0.01)
        return optimiser, OneCycleLR(optimiser, max_lr=learning_rate, total_steps=steps)


@dataclass(frozen=True)
class Nesterov:
    """SGD with Nesterov's momentum; the learning rate of step k, from 0, is the recipe's / (1 + ``decay`` k).

    Keras's SGD, but that Keras sums up gradients already multiplied by their own step's learning rate: where the
    momentum reaches back 1 / (1 - momentum) steps, the two differ by a share of decay / (1 - momentum) at most.
    """

    momentum: float
    decay: float

    def __post_init__(self) -> None:
        if not is_number(self.momentum) or not 0 < self.momentum < 1:
            raise InputError(f"weights.optimiser.momentum is {self.momentum!r}: it must be more than 0 and less than 1")
        if not is_number(self.decay) or not 0 <= self.decay < float("inf"):
            raise InputError(f"weights.optimiser.decay is {self.decay!r}: it must be a number from 0 up")

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float, steps: int) -> Moving:
        """For a training of so many steps."""
        optimiser = SGD(parameters, lr=learning_rate, momentum=self.momentum, nesterov=True)
        return optimiser, LambdaLR(optimiser, lambda step: 1 / (1 + self.decay * step))
