"""The steps of a staircase: where it jumps, and between which values; pixel by pixel, or coefficient by coefficient."""

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

    def surrogate(self, rounding: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The staircase with another function in the place of rounding to whole numbers.

        `InputError` where its levels, or its boundaries, are not the same step apart: it then is no rounding.
        """
        apart = torch.cat([self.levels.diff(), self.boundaries.diff()])
        if not len(self.boundaries) or not torch.allclose(apart, apart[0], rtol=1e-5, atol=0):
            raise InputError(
                f"no smooth substitute for a staircase of levels {self.levels.tolist()} and boundaries "
                f"{self.boundaries.tolist()}: they are not evenly spaced. Give the defense a method surrogate(rounding)"
            )
        step = float(self.levels[1] - self.levels[0])
        offset = float(self.boundaries[0]) / step - 0.5  # of the first boundary from where rounding has it
        return lambda images: rounding(images.clamp(0, 1) / step - offset) * step


@dataclass(frozen=True)
class CoefficientSteps:
    """The steps around one image x0 of a defense that rounds linear coefficients of images to multiples of a step.

    ``coefficients``: of x0, before they are rounded, (1, number), within plus and minus ``largest``. ``steps``:
    (number,), what each is rounded to multiples of. ``stretch``: the coefficients of an image x differ from those of
    x0, in L2, by at most ``stretch`` ||x - x0||_2. ``to_coefficients``: the inner products of gradients at t(x),
    (row, channel, height, width), with the response of t(x) to each coefficient, (row, number); ``widths``: (number,),
    how much of its response a coefficient's jump by a step adds to t(x).
    """

    coefficients: Float[Tensor, "1 number"]
    steps: Float[Tensor, " number"]
    largest: float
    stretch: float
    widths: Float[Tensor, " number"]
    to_coefficients: Callable[[Tensor], Tensor]
