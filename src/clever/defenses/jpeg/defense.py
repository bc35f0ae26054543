"""JPEG compression as a defense, with its steps, linear model and surrogate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.checks import require_int
from clever._internal.choice import Choice
from clever._internal.types import Images, Transformation
from clever.defenses.jpeg import blocks as jpeg_blocks
from clever.defenses.jpeg import libjpeg
from clever.defenses.jpeg import linearized as jpeg_linear
from clever.defenses.quantization import PNG, BitDepth, Rounding
from clever.defenses.staircase import CoefficientSteps
from clever.errors import InputError

Image = Float[Tensor, "channel height width"]


class Codec(Choice):
    """The implementation: ``libjpeg``, the real codec on the CPU; ``torch``, its arithmetic on the images' device.

    They agree to the last bit (`clever.defenses.jpeg.blocks`). ``auto`` takes the faster one: torch on a GPU and for
    images of at most 48 x 48 pixels, libjpeg for all others.
    """

    AUTO = "auto"
    LIBJPEG = "libjpeg"
    TORCH = "torch"

    def resolve(self, images: Images) -> "Codec":
        """The implementation to use for these images; never ``auto``."""
        if self is not Codec.AUTO:
            return self
        small = images.device.type == "cpu" and images.shape[2] * images.shape[3] <= SMALL
        return Codec.TORCH if images.is_cuda or small else Codec.LIBJPEG


SMALL = 48 * 48
"""The number of pixels up to which torch is faster than libjpeg (measured on two cores)."""
LARGEST = 1024.0
"""A bound on the coefficients of an orthonormal transform of 8 x 8 numbers from -128 to 127."""


@dataclass(frozen=True)
class JPEG:
    """Writing and reading a JPEG file (ITU-T T.81, as computed by libjpeg).

    Images (batch, channel, height, width), clipped to [0,1]; grey (one channel) or RGB, on any device. ``quality``:
    libjpeg's scale of its standard tables, 1 to 100. ``subsampling`` of the two chroma channels: "4:4:4", "4:2:2" or
    "4:2:0". ``to_uint8``: the rounding to 8 bits before the codec; the authors' code truncates (`Rounding`). ``codec``:
    see `Codec`. The result is a staircase: its true derivative is zero. `InputError` for other values, and for images
    whose number of channels is neither 1 nor 3.
    """

    quality: int = 75
    subsampling: str = "4:2:0"
    to_uint8: str = Rounding.ROUND
    codec: str = Codec.AUTO
    build: ClassVar[str] = libjpeg.BUILD

    def __post_init__(self) -> None:
        require_int("the quality of JPEG", self.quality, 1, 100)
        if self.subsampling not in jpeg_blocks.STEPS:
            valid = ", ".join(jpeg_blocks.STEPS)
            raise InputError(f"unknown chroma subsampling {self.subsampling!r}: it must be one of {valid}")
        Rounding.parse(self.to_uint8)
        Codec.parse(self.codec)

    def __call__(self, images: Images) -> Images:
        if images.shape[1] not in (1, 3):
            raise InputError(f"JPEG takes images of 1 or 3 channels, not {images.shape[1]}")
        return _ZeroGradient.apply(images, self._compress)  # type: ignore[no-any-return]

    def _compress(self, images: Tensor) -> Tensor:
        levels = Rounding.parse(self.to_uint8).apply(images.clamp(0, 1).mul(255))
        codec = libjpeg if Codec.parse(self.codec).resolve(images) is Codec.LIBJPEG else jpeg_blocks
        compressed: Tensor = codec.compress(levels, self.quality, self.subsampling)
        return compressed.div_(255)

    def pixelwise(self) -> Transformation:
        """Rounding to 8 bits, the pixelwise staircase that the compression begins with."""
        return PNG() if Rounding.parse(self.to_uint8) is Rounding.ROUND else BitDepth(8, Rounding.TRUNCATE)

    def linear(self, image: Image) -> jpeg_linear.Linear:
        """The compression of images of this shape without roundings and clipping."""
        return jpeg_linear.Linear(image, self.quality, self.subsampling)

    def surrogate(self, rounding: Callable[[Tensor], Tensor]) -> Transformation:
        """The compression with ``rounding`` applied to the coefficients and no other rounding."""
        return lambda images: jpeg_linear.compress(images * 255, self.quality, self.subsampling, rounding) / 255

    def coefficient_steps(self, image: Image) -> CoefficientSteps:
        """The steps around one 8-bit image.

        In L2 and in levels, the encoder moves the coefficients by at most its largest singular value (0.69 for 4:2:0)
        times the change of the levels. Rounding to 8 bits before the codec adds a factor of 2: it moves no pixel of an
        8-bit image by more than twice the attacker's change.

        The roundings inside the codec and its clipping to 0..255, about a level each, are left out. So the gauge with
        these steps bounds an idealised codec, in contrast to pixelwise staircases. `InputError` for truncation to 8
        bits, where an arbitrarily small change can move a pixel by a level, and for images that are not 8-bit.
        """
        if Rounding.parse(self.to_uint8) is not Rounding.ROUND:
            raise InputError(
                "the gauge behind JPEG needs to_uint8='round': with truncation, an arbitrarily small change can move a "
                "pixel by a level"
            )
        levels = image.unsqueeze(0) * 255
        if float((levels - levels.round()).abs().max()) > 1e-2:
            raise InputError("the gauge behind JPEG needs 8-bit images, whose pixels are whole multiples of 1/255")
        linear = self.linear(image)
        return CoefficientSteps(
            coefficients=linear.encode(levels.round()),
            steps=linear.table,
            largest=LARGEST,
            stretch=2 * 255 * jpeg_linear.largest_singular_value(tuple(image.shape), self.subsampling),
            widths=linear.table / 255,
            to_coefficients=linear.to_coefficients,
        )


class _ZeroGradient(torch.autograd.Function):
    """A staircase computed outside autograd, with its derivative of zero."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, staircase: Transformation) -> Tensor:
        return staircase(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.zeros_like(gradients[0]), None
