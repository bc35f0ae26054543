"""The defenses: image transformations in [0,1] pixel space, batched, parameters checked when they are made.

Every one of them is a staircase: constant around almost every image. Its true derivative is therefore zero, which is
what autograd gets from it; `clever.bpda` replaces that by the identity. Values outside [0,1] are clipped first, as a
file format would.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clever.bpda import Transformation
from clever.choice import Choice
from clever.errors import InputError

Images = Float[Tensor, "batch channel height width"]
Pixels = NDArray[np.uint8]


class Rounding(Choice):
    """How a value becomes one of the levels below: ``truncate`` downwards, ``round`` to the nearest."""

    TRUNCATE = "truncate"
    ROUND = "round"

    def apply(self, values: Tensor) -> Tensor:
        """Whole numbers of the same shape."""
        return values.floor() if self is Rounding.TRUNCATE else values.round()


@dataclass(frozen=True)
class Identity:
    """No defense: t(x) = x."""

    def __call__(self, images: Images) -> Images:
        return images


@dataclass(frozen=True)
class Quantize:
    """Rounding to ``levels`` evenly spaced values from 0 to 1: the staircase of Goodfellow (arXiv 1804.07870)."""

    levels: int = 16

    def __post_init__(self) -> None:
        _within("levels of quantization", self.levels, 2, 256)

    def __call__(self, images: Images) -> Images:
        steps = self.levels - 1
        return images.clamp(0, 1).mul(steps).round().div(steps)


@dataclass(frozen=True)
class PNG:
    """Rounding to 8 bits, which is all that writing and reading a lossless file does."""

    def __call__(self, images: Images) -> Images:
        return Quantize(256)(images)


@dataclass(frozen=True)
class BitDepth:
    """The ``bits`` high bits of the 8 of a pixel.

    ``truncate`` is the authors' code: floor(255 x) with its low bits set to zero, over 255. ``round`` takes the nearest
    of 2^bits evenly spaced levels from 0 to 1 (Xu et al. 2018, feature squeezing).
    """

    bits: int = 3
    rounding: str = Rounding.TRUNCATE

    def __post_init__(self) -> None:
        _within("bits of bit-depth reduction", self.bits, 1, 8)
        Rounding.named(self.rounding)

    def __call__(self, images: Images) -> Images:
        if Rounding.named(self.rounding) is Rounding.ROUND:
            return Quantize(2**self.bits)(images)
        step = 2 ** (8 - self.bits)
        return images.clamp(0, 1).mul(255).floor().div(step).floor().mul(step).div(255)


@dataclass(frozen=True)
class JPEG:
    """Compression by the real codec (libjpeg, through Pillow), as a file would be written and read.

    ``to_uint8`` says how [0,1] becomes 8 bits before the codec; the authors' code truncates. Grey images (one channel)
    and RGB images are possible. Any device; the codec itself runs on the CPU, one thread a core.
    """

    quality: int = 75
    subsampling: str = "4:2:0"
    to_uint8: str = Rounding.TRUNCATE

    def __post_init__(self) -> None:
        _within("quality of JPEG", self.quality, 1, 100)
        if self.subsampling not in (known := ("4:4:4", "4:2:2", "4:2:0")):
            raise InputError(f"unknown chroma subsampling {self.subsampling!r}: it must be one of {', '.join(known)}")
        Rounding.named(self.to_uint8)

    def __call__(self, images: Images) -> Images:
        if images.shape[1] not in (1, 3):
            raise InputError(f"JPEG takes images of 1 or 3 channels, not {images.shape[1]}")
        return _Constant.apply(images, self._through_codec)  # type: ignore[no-any-return]

    def _through_codec(self, images: Tensor) -> Tensor:
        levels = Rounding.named(self.to_uint8).apply(images.clamp(0, 1).mul(255))
        pixels = levels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads) as pool:  # the codec lets go of the interpreter's lock
            decoded = np.concatenate(list(pool.map(self._each, np.array_split(pixels, threads))))
        return torch.from_numpy(decoded).permute(0, 3, 1, 2).to(images).div(255).contiguous()

    def _each(self, pixels: Pixels) -> Pixels:
        return np.stack([self._one(image) for image in pixels]) if len(pixels) else pixels

    def _one(self, pixels: Pixels) -> Pixels:
        file = io.BytesIO()
        image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        image.save(file, "JPEG", quality=self.quality, subsampling=self.subsampling)
        return np.asarray(Image.open(file)).reshape(pixels.shape)


@dataclass(frozen=True)
class Chain:
    """Several transformations, the first applied first."""

    transformations: Sequence[Transformation]

    def __post_init__(self) -> None:
        if not self.transformations:
            raise InputError("a chain of defenses needs at least one")
        object.__setattr__(self, "transformations", tuple(self.transformations))

    def __call__(self, images: Images) -> Images:
        return reduce(lambda image, transformation: transformation(image), self.transformations, images)


class _Constant(torch.autograd.Function):
    """A staircase computed outside torch: its derivative is zero, and says so to autograd."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, staircase: Transformation) -> Tensor:
        return staircase(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.zeros_like(gradients[0]), None


def _within(what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"the {what} is {value!r}: it must be a whole number from {low} to {high}")
