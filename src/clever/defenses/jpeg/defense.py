"""JPEG compression, with what gauges, attacks and backward functions ask of it."""

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
    """Who compresses: ``libjpeg``, the real codec, on the CPU; ``torch``, its arithmetic on the images' device.

    They agree to the last bit (`clever.defenses.jpeg.blocks`). ``auto``: the faster one. That is torch on a GPU and for
    images of at most 48 x 48 pixels, which are less work than the files around them; libjpeg for all others.
    """

    AUTO = "auto"
    LIBJPEG = "libjpeg"
    TORCH = "torch"

    def of(self, images: Images) -> "Codec":
        """The choice made."""
        if self is not Codec.AUTO:
            return self
        small = images.device.type == "cpu" and images.shape[2] * images.shape[3] <= SMALL
        return Codec.TORCH if images.is_cuda or small else Codec.LIBJPEG


SMALL = 48 * 48
"""Pixels up to which torch is faster than libjpeg (measured on two cores)."""
LARGEST = 1024.0
"""No coefficient of an orthonormal transform of 8 x 8 numbers from -128 to 127 is larger."""


@dataclass(frozen=True)
class JPEG:
    """Compression as a file would be written and read (ITU-T T.81, as libjpeg computes it).

    Images (batch, channel, height, width) in [0,1], clipped to it; grey (one channel) or RGB, on any device.
    ``quality``: libjpeg's scale of its standard tables, 1 to 100. ``subsampling`` of the two chroma channels: "4:4:4",
    "4:2:2" or "4:2:0". ``to_uint8`` says how [0,1] becomes 8 bits before the codec; the authors' code truncates
    (`Rounding`). ``codec``: `Codec`. `InputError` for other values of these, and for images of other channels.
    """

    quality: int = 75
    subsampling: str = "4:2:0"
    to_uint8: str = Rounding.ROUND
    codec: str = Codec.AUTO
    build: ClassVar[str] = libjpeg.BUILD

    def __post_init__(self) -> None:
        require_int("the quality of JPEG", self.quality, 1, 100)
        if self.subsampling not in jpeg_blocks.STEPS:
            known = ", ".join(jpeg_blocks.STEPS)
            raise InputError(f"unknown chroma subsampling {self.subsampling!r}: it must be one of {known}")
        Rounding.parse(self.to_uint8)
        Codec.parse(self.codec)

    def __call__(self, images: Images) -> Images:
        if images.shape[1] not in (1, 3):
            raise InputError(f"JPEG takes images of 1 or 3 channels, not {images.shape[1]}")
        return _Constant.apply(images, self._through_codec)  # type: ignore[no-any-return]

    def _through_codec(self, images: Tensor) -> Tensor:
        levels = Rounding.parse(self.to_uint8).apply(images.clamp(0, 1).mul(255))
        codec = libjpeg if Codec.parse(self.codec).of(images) is Codec.LIBJPEG else jpeg_blocks
        through: Tensor = codec.compressed(levels, self.quality, self.subsampling)
        return through.div_(255)

    def pixelwise(self) -> Transformation:
        """Rounding to 8 bits, the staircase that it begins with."""
        return PNG() if Rounding.parse(self.to_uint8) is Rounding.ROUND else BitDepth(8, Rounding.TRUNCATE)

    def linear(self, image: Image) -> jpeg_linear.Linear:
        """What it does to images like this one, but for roundings and clipping."""
        return jpeg_linear.Linear(image, self.quality, self.subsampling)

    def surrogate(self, rounding: Callable[[Tensor], Tensor]) -> Transformation:
        """Of its roundings that of the coefficients alone, by another function."""
        return lambda images: jpeg_linear.compressed(images * 255, self.quality, self.subsampling, rounding) / 255

    def coefficient_steps(self, image: Image) -> CoefficientSteps:
        """Those around one image of 8 bits.

        The encoder moves the coefficients, in L2 and levels, by at most its largest singular value (.69 for 4:2:0)
        times what the levels move. To that comes a factor of 2 for the rounding to 8 bits before the codec, which moves
        no pixel of an 8-bit image by more than twice what the attacker does.

        Left out are the roundings inside the codec and its clipping to 0..255, a level or so each: unlike that of
        pixelwise staircases a gauge by these steps is a bound of an idealised codec. `InputError` where 8 bits are
        reached by truncation, from which any change can move a pixel a level, and for images that are not of 8 bits.
        """
        if Rounding.parse(self.to_uint8) is not Rounding.ROUND:
            raise InputError(
                "the gauge behind JPEG needs to_uint8=round: truncation to 8 bits moves pixels by a level for nothing"
            )
        levels = image.unsqueeze(0) * 255
        if float((levels - levels.round()).abs().max()) > 1e-2:
            raise InputError("the gauge behind JPEG needs images of 8 bits, pixels that are whole multiples of 1/255")
        linear = self.linear(image)
        return CoefficientSteps(
            coefficients=linear.encode(levels.round()),
            steps=linear.table,
            largest=LARGEST,
            stretch=2 * 255 * jpeg_linear.largest_singular_value(tuple(image.shape), self.subsampling),
            widths=linear.table / 255,
            to_coefficients=linear.to_coefficients,
        )


class _Constant(torch.autograd.Function):
    """A staircase computed outside torch: its derivative is zero, and says so to autograd."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, staircase: Transformation) -> Tensor:
        return staircase(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.zeros_like(gradients[0]), None
