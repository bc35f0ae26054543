"""Backward functions for BPDA: differentiable substitutes for staircases."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from torch import Tensor

from clever._internal.types import Images, Transformation
from clever.defenses.capabilities import method_of, needs_surrogate
from clever.defenses.chain import Identity, parts
from clever.errors import InputError


@dataclass(frozen=True)
class Smooth:
    """A staircase with its rounding replaced by y - s sin(2 pi y) / (2 pi), s the ``sharpness`` from 0 to 1.

    As the backward function of `clever.BPDA` it tells the gradient where on its step a value lies: the derivative,
    1 - s cos(2 pi y) steps apart, is largest at a jump and smallest in the middle of a step, where it still is
    1 - s > 0 for s < 1; its mean over a step is 1, the identity's. With s = 0 a pixelwise staircase is the identity
    (but for the clipping to [0,1]), JPEG what is left of it without quantization. In JPEG the coefficients are rounded
    so, and roundings to whole levels are left out (`clever.defenses.jpeg.linearized`).

    ``transformation``: one with a method ``surrogate(rounding)``, as `JPEG` has, or with evenly spaced ``steps``
    (`Quantize`, `PNG`, `BitDepth`), the `Identity`, or a `Chain` of these, else `InputError`: any other callable needs
    a backward function of its own. With ``jpeg_only`` all but the parts with a surrogate and no steps, as JPEG is one,
    are the identity, as for BPDA without a backward function: right for what knows the steps of the others itself
    (`clever.descend`).
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
        substitutes = [self._of_part(part) for part in parts(transformation)]
        return lambda images: reduce(lambda image, part: part(image), substitutes, images)

    def _of_part(self, part: Transformation) -> Callable[[Images], Images]:
        if self.jpeg_only and not needs_surrogate(part):
            return Identity()
        surrogate, steps = method_of(part, "surrogate"), method_of(part, "steps")
        if surrogate:
            return surrogate(self.rounded)  # type: ignore[no-any-return]
        if steps:
            return steps().surrogate(self.rounded)  # type: ignore[no-any-return]
        raise InputError(
            f"no smooth substitute for {type(part).__name__}: it has neither a method surrogate(rounding) nor evenly "
            "spaced steps(); give BPDA the differentiable function itself (backward)"
        )
