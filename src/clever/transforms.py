"""The defenses: image transformations in [0,1] pixel space, batched, parameters checked when they are made.

Every one of them is a staircase: constant around almost every image. Its true derivative is therefore zero, which is
what autograd gets from it; `clever.bpda` replaces that by the identity. Values outside [0,1] are clipped first, as a
file format would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clever import jpeg_blocks, libjpeg
from clever.bpda import Transformation
from clever.checks import require_int
from clever.choice import Choice
from clever.draws import Random
from clever.ensemble import Expectation
from clever.errors import InputError
from clever.staircase import Steps

Images = Float[Tensor, "batch channel height width"]


class Rounding(Choice):
    """How a value becomes a whole number: ``round`` to the nearest, or ``truncate`` downwards.

    Truncation puts every value k/255 of an 8-bit image exactly on a step, from which any change downwards falls a whole
    level: adversarial images at distance 0 are the consequence, and which side of the step a value lies on is decided
    by the last bit. It is the authors' way, kept for reproducing it.
    """

    TRUNCATE = "truncate"
    ROUND = "round"

    def apply(self, values: Tensor) -> Tensor:
        """Whole numbers of the same shape."""
        return values.floor() if self is Rounding.TRUNCATE else values.round()


@dataclass(frozen=True)
class Identity:
    """No defense: t(x) = x, for images of any shape; outside [0,1], too."""

    def __call__(self, images: Images) -> Images:
        return images


@dataclass(frozen=True)
class Quantize:
    """Rounding to the nearest of n = ``levels`` values from 0 to 1: t(x) = round((n - 1) x) / (n - 1), pixel by pixel.

    The staircase of Goodfellow (arXiv 1804.07870). Images of any shape, clipped to [0,1]. `InputError` for levels that
    are not a whole number from 2 to 256.
    """

    levels: int = 16

    def __post_init__(self) -> None:
        require_int("the levels of quantization", self.levels, 2, 256)

    def __call__(self, images: Images) -> Images:
        steps = self.levels - 1
        return images.clamp(0, 1).mul(steps).round().div(steps)

    def steps(self) -> Steps:
        """Where it jumps: halfway between the levels."""
        return Steps.at(torch.arange(self.levels, dtype=torch.float64) / (self.levels - 1), 1 / 2)


@dataclass(frozen=True)
class PNG:
    """Rounding to 8 bits, t(x) = round(255 x) / 255: all that writing and reading a lossless file does.

    Images of any shape, clipped to [0,1].
    """

    def __call__(self, images: Images) -> Images:
        return Quantize(256)(images)

    def steps(self) -> Steps:
        """Halfway between the 256 levels."""
        return Quantize(256).steps()


@dataclass(frozen=True)
class BitDepth:
    """The ``bits`` high bits of the 8 of a pixel.

    ``round`` takes the nearest of 2^bits evenly spaced levels from 0 to 1 (Xu et al. 2018, feature squeezing).
    ``truncate`` is the authors' code: floor(255 x) with its low bits set to zero, over 255 (`Rounding`). Images of any
    shape, clipped to [0,1]. `InputError` for bits that are not a whole number from 1 to 8, and for an unknown rounding.
    """

    bits: int = 3
    rounding: str = Rounding.ROUND

    def __post_init__(self) -> None:
        require_int("the bits of bit-depth reduction", self.bits, 1, 8)
        Rounding.parse(self.rounding)

    def __call__(self, images: Images) -> Images:
        if Rounding.parse(self.rounding) is Rounding.ROUND:
            return Quantize(2**self.bits)(images)
        step = 2 ** (8 - self.bits)
        return images.clamp(0, 1).mul(255).floor().div(step).floor().mul(step).div(255)

    def steps(self) -> Steps:
        """Halfway between the levels, or with truncation at them."""
        if Rounding.parse(self.rounding) is Rounding.ROUND:
            return Quantize(2**self.bits).steps()
        return Steps.at(torch.arange(0, 256, 2 ** (8 - self.bits), dtype=torch.float64) / 255, 1)


class Codec(Choice):
    """Who compresses: ``libjpeg``, the real codec, on the CPU; ``torch``, its arithmetic on the images' device.

    They agree to the last bit (`clever.jpeg_blocks`). ``auto``: the faster one. That is torch on a GPU and for images
    of at most 48 x 48 pixels, which are less work than the files around them; libjpeg for all others.
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


@dataclass(frozen=True)
class Chain:
    """Several transformations, the first applied first: t(x) = t_n(... t_1(x)), for images (batch, channel, height,
    width) in [0,1].

    `InputError` for none, and for an `Expectation` among them, which is no map of images.
    """

    transformations: Sequence[Transformation]

    def __post_init__(self) -> None:
        if not self.transformations:
            raise InputError("a chain of defenses needs at least one")
        if any(isinstance(one, Expectation) for one in self.transformations):
            raise InputError("an expectation is no map of images: take that of the chain, not a chain with one in it")
        object.__setattr__(self, "transformations", tuple(self.transformations))

    def __call__(self, images: Images) -> Images:
        return reduce(lambda image, transformation: transformation(image), self.transformations, images)

    def drawn(self, index: int) -> "Chain":
        """With the draw of that number of each random transformation in it; itself where there is none."""
        return Chain([one.drawn(index) if isinstance(one, Random) else one for one in self.transformations])

    def steps(self) -> Steps:
        """Those of the first, with the levels that the others make of its own; `InputError` where one has no steps."""
        known = parts(self)
        if not known:
            raise InputError(f"{self} is the identity, which has no steps")
        for one in known:
            steps_of(one)
        return reduce(Steps.then, known[1:], steps_of(known[0]))


def parts(transformation: Transformation) -> list[Transformation]:
    """The transformations of a chain, of chains in it too, without identities."""
    if isinstance(transformation, Chain):
        return [part for one in transformation.transformations for part in parts(one)]
    return [] if isinstance(transformation, Identity) else [transformation]


def steps_of(transformation: Transformation) -> Steps:
    """``transformation.steps()``, which a transformation of one's own may offer, too; `InputError` for one without."""
    if not hasattr(transformation, "steps"):
        known = ", ".join(kind.__name__ for kind in (Quantize, PNG, BitDepth, Chain))
        raise InputError(
            f"{transformation} is no pixelwise staircase that says its steps: {known} do, and whatever has a method "
            "steps() that returns a clever.Steps; JPEG alone has a gauge of its own"
        )
    steps: Steps = transformation.steps()
    return steps


class _Constant(torch.autograd.Function):
    """A staircase computed outside torch: its derivative is zero, and says so to autograd."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, staircase: Transformation) -> Tensor:
        return staircase(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.zeros_like(gradients[0]), None
