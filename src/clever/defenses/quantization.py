"""Pixelwise staircases: quantization to evenly spaced levels, 8 bits as in a file, bit-depth reduction.

They are constant around almost every image, so their derivative is zero; `clever.BPDA` replaces it. Values outside
[0,1] are clipped first, as in a file format.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from clever._internal.checks import require_int
from clever._internal.choice import Choice
from clever._internal.types import Images
from clever.defenses.staircase import Steps


class Rounding(Choice):
    """Rounding to a whole number: ``round`` to the nearest, or ``truncate`` downwards.

    With truncation every value k/255 of an 8-bit image lies exactly on a step, where any decrease costs a whole level.
    So there are adversarial images at distance 0, and floating-point rounding decides the side of the step. The
    authors' code truncates; the choice exists for reproduction.
    """

    TRUNCATE = "truncate"
    ROUND = "round"

    def apply(self, values: Tensor) -> Tensor:
        """Whole numbers of the same shape."""
        return values.floor() if self is Rounding.TRUNCATE else values.round()


@dataclass(frozen=True)
class Quantize:
    """Rounding to the nearest of n = ``levels`` values from 0 to 1: t(x) = round((n - 1) x) / (n - 1), pixel by pixel.

    The staircase of Goodfellow (arXiv 1804.07870). Images of any shape are clipped to [0,1]. `InputError` for
    ``levels`` that are not a whole number from 2 to 256.
    """

    levels: int = 16

    def __post_init__(self) -> None:
        require_int("the levels of quantization", self.levels, 2, 256)

    def __call__(self, images: Images) -> Images:
        steps = self.levels - 1
        return images.clamp(0, 1).mul(steps).round().div(steps)

    def steps(self) -> Steps:
        """Steps halfway between the levels."""
        return Steps.at(torch.arange(self.levels, dtype=torch.float64) / (self.levels - 1), 1 / 2)


@dataclass(frozen=True)
class PNG:
    """Rounding to 8 bits, t(x) = round(255 x) / 255: the effect of writing and reading a lossless file.

    Images of any shape are clipped to [0,1].
    """

    def __call__(self, images: Images) -> Images:
        return Quantize(256)(images)

    def steps(self) -> Steps:
        """Steps halfway between the 256 levels."""
        return Quantize(256).steps()


@dataclass(frozen=True)
class BitDepth:
    """Reduction of 8-bit pixels to ``bits`` bits.

    ``round`` takes the nearest of 2^bits evenly spaced levels from 0 to 1 (Xu et al. 2018, feature squeezing).
    ``truncate`` follows the authors' code: floor(255 x) with its low bits set to zero, divided by 255 (`Rounding`).
    Images of any shape are clipped to [0,1]. `InputError` for ``bits`` that are not a whole number from 1 to 8, and for
    an unknown rounding.
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
        """Steps halfway between the levels, or at the levels with truncation."""
        if Rounding.parse(self.rounding) is Rounding.ROUND:
            return Quantize(2**self.bits).steps()
        return Steps.at(torch.arange(0, 256, 2 ** (8 - self.bits), dtype=torch.float64) / 255, 1)
