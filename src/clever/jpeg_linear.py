"""The two linear maps of a JPEG file around its one staircase: pixels to coefficients, and back."""

import functools
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clever import jpeg_blocks
from clever.jpeg_blocks import STEPS, Levels, Plane

Coefficients = Float[Tensor, "batch number"]
COLOURS = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
"""Luma and the two chroma channels of RGB (ITU-R BT.601, as JFIF has it), without their offsets."""
ITERATIONS = 100
MARGIN = 1.005
"""A power iteration comes from below: the factor that makes its result an upper bound, measured to be ample."""


class Linear:
    """What `clever.JPEG` does to images of one shape but for its roundings and clipping to 0..255.

    ``encode`` and ``decode`` are linear, up to the constant 128: levels 0..255 to the coefficients of orthonormal
    cosine transforms of 8 x 8 blocks, luma first, and back to levels. ``table``: what each coefficient is rounded to
    multiples of.
    """

    def __init__(self, like: Float[Tensor, "channel height width"], quality: int, subsampling: str) -> None:
        self.shape, self.step = like.shape, STEPS[subsampling]
        self.cosines = (jpeg_blocks.transform(like.device) / (math.sqrt(8) * 2**jpeg_blocks.CONSTANT_BITS)).to(like)
        self.colours = torch.tensor(COLOURS, dtype=like.dtype, device=like.device)
        luma, chroma = (table.to(like).flatten() for table in jpeg_blocks.tables(quality, like.device))
        sizes = [block.shape[1] for block in self._blocks(torch.zeros_like(like).unsqueeze(0))]
        self.blocks = sizes
        self.table = torch.cat([luma.repeat(sizes[0]), *(chroma.repeat(size) for size in sizes[1:])])

    def encode(self, levels: Levels) -> Coefficients:
        """The coefficients before they are rounded; white is 127 and black -128."""
        blocks = self._blocks(levels)
        return torch.cat([(self.cosines @ block @ self.cosines.T).flatten(1) for block in blocks], 1)

    def decode(self, coefficients: Coefficients) -> Levels:
        """The levels, less 128 of each luma pixel."""
        planes = []
        for index, part in enumerate(coefficients.split([64 * size for size in self.blocks], 1)):
            pixels = self.cosines.T @ part.unflatten(1, (-1, 8, 8)) @ self.cosines
            planes.append(self._plane(pixels, self.step if index else (1, 1)))
        if len(planes) == 1:
            return planes[0].unsqueeze(1)
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.colours), torch.stack(planes, 1))

    def to_coefficients(self, gradients: Levels) -> Coefficients:
        """The decoder's transpose: the inner product of each gradient with the response to each coefficient."""
        with torch.enable_grad():
            at = gradients.new_zeros(len(gradients), len(self.table), requires_grad=True)
            (back,) = torch.autograd.grad(self.decode(at), at, gradients)
        return back

    def _blocks(self, levels: Levels) -> list[Tensor]:
        """Of each channel, (batch, block, 8, 8)."""
        if self.shape[0] == 1:
            return [_cut(levels[:, 0] - 128)]
        luma, *chroma = torch.einsum("ij,bjhw->bihw", self.colours, levels).unbind(1)
        rows, columns = self.step
        fill = -luma.shape[1] % rows, -luma.shape[2] % (8 * columns if columns > 1 else 1)
        means = [functional.avg_pool2d(_repeated(plane, *fill), self.step) for plane in chroma]
        return [_cut(luma - 128), *map(_cut, means)]

    def _plane(self, pixels: Tensor, step: tuple[int, int]) -> Plane:
        """The blocks side by side, as many pixels as the image has."""
        height, width = (-(-size // by) for size, by in zip(self.shape[1:], step, strict=True))
        rows, columns = -(-height // 8), -(-width // 8)
        if step != (1, 1):  # blocks that hold nothing but the filling of whole samples
            columns = max(columns, pixels.shape[1] // rows)
        plane: Tensor = (
            pixels.unflatten(1, (rows, columns)).transpose(2, 3).flatten(3).flatten(1, 2)[:, :height, :width]
        )
        if step == (1, 1):
            return plane
        how: dict[str, Any] = {"mode": "bilinear", "align_corners": False} if width > 2 else {"mode": "nearest"}
        wide: Tensor = functional.interpolate(plane.unsqueeze(1), scale_factor=step, **how).squeeze(1)
        return wide[:, : self.shape[1], : self.shape[2]]


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


def _cut(plane: Plane) -> Tensor:
    plane = _repeated(plane, -plane.shape[1] % 8, -plane.shape[2] % 8)
    blocks: Tensor = plane.unflatten(2, (-1, 8)).unflatten(1, (-1, 8)).transpose(2, 3).flatten(1, 2)
    return blocks


def _repeated(plane: Plane, rows: int, columns: int) -> Plane:
    return functional.pad(plane, (0, columns, 0, rows), mode="replicate")
