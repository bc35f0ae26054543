"""Backward functions for BPDA: differentiable substitutes for the staircases that the library has."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from jaxtyping import Float
from torch import Tensor

from clever import jpeg_smooth
from clever.bpda import Transformation
from clever.errors import InputError
from clever.transforms import JPEG, PNG, BitDepth, Chain, Identity, Quantize, Rounding

Images = Float[Tensor, "batch channel height width"]


@dataclass(frozen=True)
class Smooth:
    """A staircase with its rounding replaced by y - s sin(2 pi y) / (2 pi), s the ``sharpness`` from 0 to 1.

    As the backward function of `clever.BPDA` it tells the gradient where on its step a value lies: the derivative,
    1 - s cos(2 pi y) steps apart, is largest at a jump and smallest in the middle of a step, where it still is
    1 - s > 0 for s < 1; its mean over a step is 1, the identity's. With s = 0 a pixelwise staircase is the identity
    (but for the clipping to [0,1]), JPEG what is left of it without quantization. In JPEG the coefficients are rounded
    so, and roundings to whole levels are left out (`clever.jpeg_smooth`).

    ``transformation``: `Identity`, `Quantize`, `PNG`, `BitDepth`, `JPEG` or a `Chain` of these, else `InputError`:
    any other callable needs a backward function of its own. With ``jpeg_only`` everything but JPEG is the identity, as
    for BPDA without a backward function: right for what knows the steps of the others itself (`clever.descend`).
    """

    transformation: Transformation
    sharpness: float = 0.9
    jpeg_only: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.sharpness, bool) or not 0 <= self.sharpness <= 1:
            raise InputError(f"the sharpness of a smooth staircase is {self.sharpness!r}: it must be from 0 to 1")
        self._substitute(self.transformation)

    def __call__(self, images: Images) -> Images:
        """The smooth staircase, images in [0,1]."""
        return self._substitute(self.transformation)(images)

    def rounded(self, values: Tensor) -> Tensor:
        """What takes the place of rounding to whole numbers."""
        return values - (2 * math.pi * values).sin() * (self.sharpness / (2 * math.pi))

    def _substitute(self, transformation: Transformation) -> Callable[[Images], Images]:
        match transformation:
            case JPEG():
                return self._jpeg(transformation)
            case Chain():
                parts = [self._substitute(part) for part in transformation.transformations]
                return lambda images: reduce(lambda image, part: part(image), parts, images)
            case _ if self.jpeg_only or isinstance(transformation, Identity):
                return Identity()
            case Quantize(levels):
                return self._steps(1 / (levels - 1), 0.0)
            case PNG():
                return self._steps(1 / 255, 0.0)
            case BitDepth(bits, rounding):
                if Rounding.named(rounding) is Rounding.ROUND:
                    return self._steps(1 / (2**bits - 1), 0.0)
                return self._steps(2 ** (8 - bits) / 255, 0.5)  # of two truncations the coarser one is left
        known = ", ".join(kind.__name__ for kind in (Identity, Quantize, PNG, BitDepth, JPEG, Chain))
        raise InputError(
            f"no smooth substitute for {type(transformation).__name__}: there is one for {known}; give BPDA the "
            "differentiable function itself (backward)"
        )

    def _steps(self, step: float, offset: float) -> Callable[[Images], Images]:
        return lambda images: self.rounded(images.clamp(0, 1) / step - offset) * step

    def _jpeg(self, jpeg: JPEG) -> Callable[[Images], Images]:
        return lambda images: jpeg_smooth.compressed(images * 255, jpeg.quality, jpeg.subsampling, self.rounded) / 255
