"""JPEG in real numbers: two linear maps, pixels to coefficients and back, around its one staircase.

Beside the file's own arithmetic (`clever.defenses.jpeg.blocks`), whose derivative is zero. Roundings to whole levels,
before, within and after, are left out: their steps are small beside those of the quantization tables.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clever.defenses.jpeg.blocks import CONSTANT_BITS, STEPS, Levels, Plane, repeated, tables, transform

Coefficients = Float[Tensor, "batch number"]
Blocks = Float[Tensor, "batch row column 8 8"]
COLOURS = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
"""Luma and the two chroma channels of RGB (ITU-R BT.601, as JFIF has it), without their offsets."""
ITERATIONS = 100
MARGIN = 1.005
"""A power iteration comes from below: the factor that makes its result an upper bound, measured to be ample."""


def compressed(levels: Levels, quality: int, subsampling: str, rounding: Callable[[Tensor], Tensor]) -> Levels:
    """About `clever.defenses.jpeg.blocks.compressed` of any real levels, differentiable where ``rounding`` is.

    With ``torch.round`` it differs from the codec by the roundings left out, a level or two; with the identity it is
    the loss by chroma subsampling alone, which is linear. Levels outside 0 to 255 are clipped.
    """
    levels = levels.clamp(0, 255)
    linear = Linear(levels[0], quality, subsampling)
    kept = rounding(linear.encode(levels) / linear.table) * linear.table
    return (linear.decode(kept) + 128).clamp(0, 255)


class Linear:
    """What `clever.JPEG` does to images of one shape but for its roundings and clipping to 0..255.

    ``encode`` and ``decode`` are linear, up to the constant 128: levels 0..255 to the coefficients of orthonormal
    cosine transforms of 8 x 8 blocks, luma first, and back to levels. ``table``: what each coefficient is rounded to
    multiples of.
    """

    def __init__(self, like: Float[Tensor, "channel height width"], quality: int, subsampling: str) -> None:
        self.shape, self.step = like.shape, STEPS[subsampling]
        self.colours = torch.tensor(COLOURS, dtype=like.dtype, device=like.device)
        rows, columns = self.step
        height, width = self.shape[1:]
        # Columns are repeated up to whole blocks before the mean is taken, rows only up to a whole sample.
        self.fill = (-height % rows, -width % (8 * columns)) if columns > 1 else (0, 0)
        means = (height + self.fill[0]) // rows, (width + self.fill[1]) // columns
        self.blocks = [(-(-h // 8), -(-w // 8)) for h, w in [(height, width), *[means] * (self.shape[0] - 1)]]
        luma, chroma = (table.to(like).flatten() for table in tables(quality, like.device))
        self.table = torch.cat(
            [(chroma if at else luma).repeat(math.prod(size)) for at, size in enumerate(self.blocks)]
        )

    def encode(self, levels: Levels) -> Coefficients:
        """The coefficients before they are rounded; white is 127 and black -128."""
        return torch.cat([to_blocks(plane).flatten(1) for plane in self._planes(levels)], 1)

    def decode(self, coefficients: Coefficients) -> Levels:
        """The levels, less 128."""
        sizes = [64 * math.prod(size) for size in self.blocks]
        planes = []
        for at, (part, size) in enumerate(zip(coefficients.split(sizes, 1), self.blocks, strict=True)):
            planes.append(self._plane(part.view(-1, *size, 8, 8), self.step if at else (1, 1)))
        if len(planes) == 1:
            return planes[0].unsqueeze(1)
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.colours), torch.stack(planes, 1))

    def to_coefficients(self, gradients: Levels) -> Coefficients:
        """The decoder's transpose: the inner product of each gradient with the response to each coefficient."""
        with torch.enable_grad():
            at = gradients.new_zeros(len(gradients), len(self.table), requires_grad=True)
            (back,) = torch.autograd.grad(self.decode(at), at, gradients)
        return back

    def _planes(self, levels: Levels) -> list[Plane]:
        """Of each channel, luma less 128."""
        if self.shape[0] == 1:
            return [levels[:, 0] - 128]
        luma, *chroma = torch.einsum("ij,bjhw->bihw", self.colours, levels).unbind(1)
        return [luma - 128, *(functional.avg_pool2d(repeated(plane, *self.fill), self.step) for plane in chroma)]

    def _plane(self, blocks: Blocks, step: tuple[int, int]) -> Plane:
        """As many pixels as the image has."""
        height, width = (-(-size // by) for size, by in zip(self.shape[1:], step, strict=True))
        plane = of_blocks(blocks, height, width)
        if step == (1, 1):
            return plane
        # halfway between pixels as libjpeg's triangle filter, which does without where the plane is too narrow
        how: dict[str, Any] = {"mode": "bilinear", "align_corners": False} if width > 2 else {"mode": "nearest"}
        wide: Tensor = functional.interpolate(plane.unsqueeze(1), scale_factor=step, **how).squeeze(1)
        return wide[:, : self.shape[1], : self.shape[2]]


@runtime_checkable
class Linearized(Protocol):
    """A defense that is linear in 8 x 8 blocks but for its roundings, so that single coefficients can be searched."""

    def __call__(self, images: Tensor) -> Tensor:
        """t(x)."""
        ...

    def pixelwise(self) -> Callable[[Tensor], Tensor]:
        """The pixelwise staircase that it begins with."""
        ...

    def linear(self, image: Float[Tensor, "channel height width"]) -> Linear:
        """What it does to images like this one, but for roundings and clipping."""
        ...


def to_blocks(plane: Plane) -> Blocks:
    """The cosine coefficients of its blocks, an orthogonal map; the edge is repeated to fill the last blocks."""
    height, width = plane.shape[1:]
    rows, columns = -(-height // 8), -(-width // 8)
    filled = repeated(plane, 8 * rows - height, 8 * columns - width)
    cosines = _cosines(plane)
    return cosines @ filled.view(-1, rows, 8, columns, 8).transpose(2, 3) @ cosines.T


def of_blocks(coefficients: Blocks, height: int, width: int) -> Plane:
    """The inverse of `to_blocks`, for a plane of that height and width."""
    cosines = _cosines(coefficients)
    pixels = (cosines.T @ coefficients @ cosines).transpose(2, 3)
    return pixels.flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _cosines(like: Tensor) -> Float[Tensor, "8 8"]:
    cosines: Tensor = transform(like.device) / (2**CONSTANT_BITS * 8**0.5)
    return cosines.to(like.dtype)


@functools.cache
def largest_singular_value(shape: tuple[int, int, int], subsampling: str) -> float:
    """Of the encoder: no change of levels moves the coefficients further, in L2, than this times its own norm.

    .69 for 4:2:0, .80 for 4:4:4; more for images whose edge is repeated to fill blocks.
    """
    linear = Linear(torch.zeros(shape), 50, subsampling)
    vector = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    size = 0.0
    with torch.enable_grad():
        for _ in range(ITERATIONS):
            vector = (vector / vector.norm()).requires_grad_()
            there = linear.encode(vector) - linear.encode(torch.zeros_like(vector))
            size = float(there.detach().norm())
            (vector,) = torch.autograd.grad(there.square().sum() / 2, vector)
    return MARGIN * size
