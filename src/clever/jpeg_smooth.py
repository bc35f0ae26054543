"""JPEG with a derivative: its transforms in real numbers, the rounding of the coefficients replaced by what one gives.

Beside the file's own arithmetic (`clever.jpeg_blocks`), whose derivative is zero. Roundings to whole levels, before and
after, are left out: their steps are small beside those of the quantization tables.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clever.jpeg_blocks import CONSTANT_BITS, STEPS, Levels, Plane, repeated, tables, transform, triangle

TO_YCC = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
"""ITU-R BT.601: luma, and both chroma differences, which JPEG shifts by 128."""


def compressed(levels: Levels, quality: int, subsampling: str, rounding: Callable[[Tensor], Tensor]) -> Levels:
    """About `clever.jpeg_blocks.compressed` of any real levels, differentiable where ``rounding`` is.

    With ``torch.round`` it differs from the codec by the roundings left out, a level or two; with the identity it is
    the loss by chroma subsampling alone, which is linear. Levels outside 0 to 255 are clipped.
    """
    levels = levels.clamp(0, 255)
    luma_table, chroma_table = (table.to(levels) for table in tables(quality, levels.device))
    if levels.shape[1] == 1:
        return _through(levels[:, 0], luma_table, rounding).unsqueeze(1).clamp(0, 255)
    matrix = levels.new_tensor(TO_YCC)
    luma, *chroma = torch.einsum("ij,bjhw->ibhw", matrix, levels)
    step, shape = STEPS[subsampling], levels.shape[2:]
    small = [_through(_downsampled(plane + 128, step), chroma_table, rounding) for plane in chroma]
    back = [_upsampled(plane, step, shape) - 128 for plane in small]
    ycc = torch.stack([_through(luma, luma_table, rounding), *back])
    return torch.einsum("ij,jbhw->bihw", torch.linalg.inv(matrix), ycc).clamp(0, 255)


def to_blocks(plane: Plane) -> Float[Tensor, "batch row column 8 8"]:
    """The cosine coefficients of its blocks, an orthogonal map; the edge is repeated to fill the last blocks."""
    height, width = plane.shape[1:]
    rows, columns = -(-height // 8), -(-width // 8)
    filled = repeated(plane, 8 * rows - height, 8 * columns - width)
    cosines = _cosines(plane)
    return cosines @ filled.view(-1, rows, 8, columns, 8).transpose(2, 3) @ cosines.T


def of_blocks(coefficients: Float[Tensor, "batch row column 8 8"], height: int, width: int) -> Plane:
    """The inverse of `to_blocks`, for a plane of that height and width."""
    cosines = _cosines(coefficients)
    pixels = (cosines.T @ coefficients @ cosines).transpose(2, 3)
    return pixels.flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _cosines(like: Tensor) -> Float[Tensor, "8 8"]:
    cosines: Tensor = transform(like.device) / (2**CONSTANT_BITS * 8**0.5)
    return cosines.to(like.dtype)


def _through(plane: Plane, table: Tensor, rounding: Callable[[Tensor], Tensor]) -> Plane:
    return of_blocks(rounding(to_blocks(plane - 128) / table) * table, *plane.shape[1:]) + 128


def _downsampled(plane: Plane, step: tuple[int, int]) -> Plane:
    if step[1] == 1:
        return plane
    plane = repeated(plane, -plane.shape[1] % step[0], -plane.shape[2] % (8 * step[1]))
    return functional.avg_pool2d(plane.unsqueeze(1), step).squeeze(1)


def _upsampled(plane: Plane, step: tuple[int, int], shape: torch.Size) -> Plane:
    rows, columns = step
    if columns == 1:
        return plane
    plane = plane[:, : -(-shape[0] // rows), : -(-shape[1] // columns)]
    if plane.shape[2] <= 2:  # too narrow for libjpeg's filter
        wide = plane.repeat_interleave(rows, 1).repeat_interleave(columns, 2)
    else:
        wide = triangle(triangle(plane, 1) / 4 if rows == 2 else plane, 2) / 4
    return wide[:, : shape[0], : shape[1]]
