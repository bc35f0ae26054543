"""Smooth surrogates of staircases for the backward pass of BPDA."""

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
    """A staircase with its rounding replaced by y - s sin(2 pi y) / (2 pi), where s is the ``sharpness`` from 0 to 1.

    As the ``backward`` function of `clever.BPDA` it makes the gradient depend on where in its step a value lies. The
    derivative 1 - s cos(2 pi y), y in steps, is largest at a jump and smallest in the middle of a step, where it is
    1 - s > 0 for s < 1; its mean over a step is 1, as for the identity. With s = 0 a pixelwise staircase becomes the
    identity (apart from the clipping to [0,1]) and JPEG loses its quantization. For JPEG only the rounding of the
    coefficients is replaced; roundings to whole levels are left out (`clever.defenses.jpeg.linearized`).

    ``transformation``: one with a method ``surrogate(rounding)``, such as `JPEG`, or with evenly spaced ``steps``
    (`Quantize`, `PNG`, `BitDepth`), the `Identity`, or a `Chain` of these; any other callable is an `InputError`; write
    a ``backward`` function for it instead. With ``jpeg_only`` only parts with a surrogate and no steps, such as JPEG,
    are replaced; all others become the identity. This suits attacks that use the known steps themselves
    (`clever.descend`).

        jpeg = clever.JPEG(quality=75)
        clever.Defended(network, jpeg, backward=clever.Smooth(jpeg))
    """

    transformation: Transformation
    sharpness: float = 0.9
    jpeg_only: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.sharpness, bool) or not 0 <= self.sharpness <= 1:
            raise InputError(f"the sharpness of a smooth staircase is {self.sharpness!r}: it must be from 0 to 1")
        self._surrogate(self.transformation)

    def __call__(self, images: Images) -> Images:
        """The smooth staircase of images in [0,1]."""
        return self._surrogate(self.transformation)(images)

    def rounded(self, values: Tensor) -> Tensor:
        """The smooth replacement for rounding to whole numbers."""
        return values - (2 * math.pi * values).sin() * (self.sharpness / (2 * math.pi))

    def _surrogate(self, transformation: Transformation) -> Callable[[Images], Images]:
        surrogates = [self._part_surrogate(part) for part in parts(transformation)]
        return lambda images: reduce(lambda image, part: part(image), surrogates, images)

    def _part_surrogate(self, part: Transformation) -> Callable[[Images], Images]:
        if self.jpeg_only and not needs_surrogate(part):
            return Identity()
        surrogate, steps = method_of(part, "surrogate"), method_of(part, "steps")
        if surrogate:
            return surrogate(self.rounded)  # type: ignore[no-any-return]
        if steps:
            return steps().surrogate(self.rounded)  # type: ignore[no-any-return]
        raise InputError(
            f"no smooth surrogate for {type(part).__name__}: it has neither a method surrogate(rounding) nor evenly "
            "spaced steps(); pass a differentiable function as backward instead"
        )
