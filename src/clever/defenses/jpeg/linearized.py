"""JPEG in real numbers: linear maps from pixels to coefficients and back, with quantization in between.

Unlike the codec's integer arithmetic (`clever.defenses.jpeg.blocks`), this has a derivative. Roundings to whole levels
are left out: their steps are small compared with those of the quantization tables.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clever.defenses.jpeg.blocks import CONSTANT_BITS, STEPS, Levels, Plane, repeat_edges, tables, transform

Coefficients = Float[Tensor, "batch number"]
Blocks = Float[Tensor, "batch row column 8 8"]
COLOURS = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
"""Luma and the two chroma channels of RGB (ITU-R BT.601, as in JFIF), without their offsets."""
ITERATIONS = 100
MARGIN = 1.005
"""Power iteration converges from below: this factor makes its result an upper bound, with room to spare in tests."""


def compress(levels: Levels, quality: int, subsampling: str, rounding: Callable[[Tensor], Tensor]) -> Levels:
    """Approximately `clever.defenses.jpeg.blocks.compress` for any real levels; differentiable where ``rounding`` is.

    With ``torch.round`` it differs from the codec by the omitted roundings, a level or two; with the identity only the
    linear loss by chroma subsampling remains. Levels are clipped to 0..255.
    """
    levels = levels.clamp(0, 255)
    linear = Linear(levels[0], quality, subsampling)
    quantized = rounding(linear.encode(levels) / linear.table) * linear.table
    return (linear.decode(quantized) + 128).clamp(0, 255)


class Linear:
    """The maps of `clever.JPEG` for images of one shape, without roundings and clipping to 0..255.

    ``encode`` and ``decode`` are linear, up to the constant 128: from levels 0..255 to the coefficients of orthonormal
    cosine transforms of 8 x 8 blocks, luma first, and back to levels. ``table``: the quantization step of each
    coefficient.
    """

    def __init__(self, like: Float[Tensor, "channel height width"], quality: int, subsampling: str) -> None:
        self.shape, self.step = like.shape, STEPS[subsampling]
        self.colours = torch.tensor(COLOURS, dtype=like.dtype, device=like.device)
        rows, columns = self.step
        height, width = self.shape[1:]
        # Before the mean is taken, columns are repeated up to whole blocks but rows only up to a whole sample.
        self.fill = (-height % rows, -width % (8 * columns)) if columns > 1 else (0, 0)
        means = (height + self.fill[0]) // rows, (width + self.fill[1]) // columns
        self.blocks = [(-(-h // 8), -(-w // 8)) for h, w in [(height, width), *[means] * (self.shape[0] - 1)]]
        luma, chroma = (table.to(like).flatten() for table in tables(quality, like.device))
        self.table = torch.cat(
            [(chroma if channel else luma).repeat(math.prod(size)) for channel, size in enumerate(self.blocks)]
        )

    def encode(self, levels: Levels) -> Coefficients:
        """The unrounded coefficients; white is 127 and black -128."""
        return torch.cat([to_blocks(plane).flatten(1) for plane in self._planes(levels)], 1)

    def decode(self, coefficients: Coefficients) -> Levels:
        """The levels minus 128."""
        sizes = [64 * math.prod(size) for size in self.blocks]
        planes = []
        for channel, (part, size) in enumerate(zip(coefficients.split(sizes, 1), self.blocks, strict=True)):
            planes.append(self._plane(part.view(-1, *size, 8, 8), self.step if channel else (1, 1)))
        if len(planes) == 1:
            return planes[0].unsqueeze(1)
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.colours), torch.stack(planes, 1))

    def to_coefficients(self, gradients: Levels) -> Coefficients:
        """The decoder's transpose: the inner product of each gradient with the response to each coefficient."""
        with torch.enable_grad():
            zero = gradients.new_zeros(len(gradients), len(self.table), requires_grad=True)
            (coefficients,) = torch.autograd.grad(self.decode(zero), zero, gradients)
        return coefficients

    def _planes(self, levels: Levels) -> list[Plane]:
        """Luma minus 128, then the subsampled chroma channels."""
        if self.shape[0] == 1:
            return [levels[:, 0] - 128]
        luma, *chroma = torch.einsum("ij,bjhw->bihw", self.colours, levels).unbind(1)
        return [luma - 128, *(functional.avg_pool2d(repeat_edges(plane, *self.fill), self.step) for plane in chroma)]

    def _plane(self, blocks: Blocks, step: tuple[int, int]) -> Plane:
        """The channel at the resolution of the image."""
        height, width = (-(-size // by) for size, by in zip(self.shape[1:], step, strict=True))
        plane = from_blocks(blocks, height, width)
        if step == (1, 1):
            return plane
        # This is libjpeg's triangle filter, which libjpeg skips where the plane is too narrow.
        mode: dict[str, Any] = {"mode": "bilinear", "align_corners": False} if width > 2 else {"mode": "nearest"}
        upsampled: Tensor = functional.interpolate(plane.unsqueeze(1), scale_factor=step, **mode).squeeze(1)
        return upsampled[:, : self.shape[1], : self.shape[2]]


@runtime_checkable
class Linearized(Protocol):
    """A defense that is linear in 8 x 8 blocks apart from its roundings, so that its coefficients can be searched."""

    def __call__(self, images: Tensor) -> Tensor:
        """The transformed images t(x)."""
        ...

    def pixelwise(self) -> Callable[[Tensor], Tensor]:
        """The pixelwise staircase that the defense begins with."""
        ...

    def linear(self, image: Float[Tensor, "channel height width"]) -> Linear:
        """The linear model for images of this shape."""
        ...


def to_blocks(plane: Plane) -> Blocks:
    """The cosine coefficients of the plane's blocks (orthogonal); the edge is repeated to fill the last blocks."""
    height, width = plane.shape[1:]
    rows, columns = -(-height // 8), -(-width // 8)
    filled = repeat_edges(plane, 8 * rows - height, 8 * columns - width)
    cosines = _cosines(plane)
    return cosines @ filled.view(-1, rows, 8, columns, 8).transpose(2, 3) @ cosines.T


def from_blocks(coefficients: Blocks, height: int, width: int) -> Plane:
    """The inverse of `to_blocks` for a plane of this height and width."""
    cosines = _cosines(coefficients)
    pixels = (cosines.T @ coefficients @ cosines).transpose(2, 3)
    return pixels.flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _cosines(like: Tensor) -> Float[Tensor, "8 8"]:
    cosines: Tensor = transform(like.device) / (2**CONSTANT_BITS * 8**0.5)
    return cosines.to(like.dtype)


@functools.cache
def largest_singular_value(shape: tuple[int, int, int], subsampling: str) -> float:
    """The encoder's largest singular value: a change of levels changes the coefficients by at most this factor in L2.

    0.69 for 4:2:0, 0.80 for 4:4:4; larger for images whose edge is repeated to fill blocks.
    """
    linear = Linear(torch.zeros(shape), 50, subsampling)
    vector = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    value = 0.0
    with torch.enable_grad():
        for _ in range(ITERATIONS):
            vector = (vector / vector.norm()).requires_grad_()
            image = linear.encode(vector) - linear.encode(torch.zeros_like(vector))
            value = float(image.detach().norm())
            (vector,) = torch.autograd.grad(image.square().sum() / 2, vector)
    return MARGIN * value
