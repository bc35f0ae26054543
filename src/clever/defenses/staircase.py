"""The steps of staircases: boundaries and levels, pixel by pixel or coefficient by coefficient."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clever.errors import InputError


@dataclass(frozen=True)
class Steps:
    """A function on [0,1] with the value ``levels[k]`` between ``boundaries[k - 1]`` and ``boundaries[k]``.

    ``levels``: (m,), increasing; ``boundaries``: (m - 1,), increasing, in [0,1]. Both in double precision, on the CPU.
    At a boundary either level is allowed. `InputError` for other shapes and orders.

        # rounding to 0 or 1
        clever.Steps(boundaries=torch.tensor([0.5]).double(), levels=torch.tensor([0.0, 1.0]).double())
    """

    boundaries: Float[Tensor, " m-1"]
    levels: Float[Tensor, " m"]

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if values.ndim != 1 or not bool((values.diff() > 0).all()):
                raise InputError(f"the {name} of a staircase are {values.tolist()}: they must be increasing numbers")
        if len(self.levels) != len(self.boundaries) + 1:
            raise InputError(
                f"a staircase with {len(self.levels)} levels and {len(self.boundaries)} boundaries: there must be one "
                "boundary fewer than levels"
            )

    @classmethod
    def at(cls, levels: Float[Tensor, " m"], share: float) -> "Steps":
        """Boundaries at this share of the way between adjacent levels: 1/2 rounds to the nearest, 1 truncates."""
        return cls(torch.lerp(levels[:-1], levels[1:], share), levels)

    def then(self, pixelwise: Callable[[Tensor], Tensor]) -> "Steps":
        """This staircase followed by a pixelwise map; `InputError` if that map decreases anywhere."""
        # In single precision like images, because rounding can decide the side of a step that a level lies on.
        levels = pixelwise(self.levels.float().view(1, 1, 1, -1)).flatten().double()
        if not bool((levels.diff() >= 0).all()):
            raise InputError(f"{pixelwise} decreases somewhere: its chain with a staircase is not a staircase")
        new = levels.diff() > 1e-6  # more than a rounding error
        return Steps(self.boundaries[new], levels[torch.cat([torch.ones(1, dtype=torch.bool), new])])

    def surrogate(self, rounding: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The staircase with ``rounding`` in place of rounding to whole numbers.

        `InputError` unless levels and boundaries are evenly spaced with the same step.
        """
        gaps = torch.cat([self.levels.diff(), self.boundaries.diff()])
        if not len(self.boundaries) or not torch.allclose(gaps, gaps[0], rtol=1e-5, atol=0):
            raise InputError(
                f"no smooth surrogate for a staircase with levels {self.levels.tolist()} and boundaries "
                f"{self.boundaries.tolist()}: they are not evenly spaced. Give the defense a method surrogate(rounding)"
            )
        step = float(self.levels[1] - self.levels[0])
        offset = float(self.boundaries[0]) / step - 0.5  # shift of the first boundary compared with plain rounding
        return lambda images: rounding(images.clamp(0, 1) / step - offset) * step


@dataclass(frozen=True)
class CoefficientSteps:
    """The steps around one image x0 of a defense that quantizes linear coefficients of images.

    ``coefficients``: the unrounded coefficients of x0, (1, number), at most ``largest`` in size. ``steps``: the
    quantization step of each, (number,). ``stretch``: the coefficients of an image x differ from those of x0, in L2, by
    at most ``stretch`` ||x - x0||_2. ``to_coefficients``: maps gradients at t(x), (row, channel, height, width), to
    their inner products with the response of t(x) to each coefficient, (row, number). ``widths``, (number,): a jump of
    a coefficient by one step adds this multiple of its response to t(x).
    """

    coefficients: Float[Tensor, "1 number"]
    steps: Float[Tensor, " number"]
    largest: float
    stretch: float
    widths: Float[Tensor, " number"]
    to_coefficients: Callable[[Tensor], Tensor]
