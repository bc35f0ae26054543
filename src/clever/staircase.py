"""The steps of a pixelwise staircase: where it jumps, and between which values."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clever.errors import InputError


@dataclass(frozen=True)
class Steps:
    """A map of numbers in [0,1] that is ``levels[k]`` between ``boundaries[k - 1]`` and ``boundaries[k]``.

    ``levels``: (m,), increasing; ``boundaries``: (m - 1,), increasing, in [0,1]. Both in double precision, on the CPU.
    At a boundary itself either level may be meant. `InputError` for what is no such staircase.
    """

    boundaries: Float[Tensor, " m-1"]
    levels: Float[Tensor, " m"]

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if values.ndim != 1 or not bool((values.diff() > 0).all()):
                raise InputError(f"the {name} of a staircase are {values.tolist()}: they must be numbers that increase")
        if len(self.levels) != len(self.boundaries) + 1:
            raise InputError(f"a staircase of {len(self.levels)} levels has {len(self.boundaries)} boundaries between")

    @classmethod
    def at(cls, levels: Float[Tensor, " m"], share: float) -> "Steps":
        """Each boundary this share of the way from one level to the next: 1/2 rounds to the nearest, 1 truncates."""
        return cls(torch.lerp(levels[:-1], levels[1:], share), levels)

    def then(self, pixelwise: Callable[[Tensor], Tensor]) -> "Steps":
        """The staircase of this one followed by another map of numbers; `InputError` for one that decreases."""
        # In single precision, as images are: on which side of a step of the other a level lies can hang on it.
        levels = pixelwise(self.levels.float().view(1, 1, 1, -1)).flatten().double()
        if not bool((levels.diff() >= 0).all()):
            raise InputError(f"{pixelwise} decreases: it makes no staircase of another one")
        new = levels.diff() > 1e-6  # a level apart, not a rounding
        return Steps(self.boundaries[new], levels[torch.cat([torch.ones(1, dtype=torch.bool), new])])
