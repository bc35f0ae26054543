"""JPEG compression of pixels in torch: the integer arithmetic of libjpeg, batched, on any device.

Lossless parts of the format (run lengths, Huffman codes) are left out. All numbers are integers in double precision,
which represents them exactly. The result equals that of libjpeg to the last bit, if libjpeg is built with its default
transform (the accurate integer one) and its default triangle filter for chroma.
"""

import functools
import io

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

Levels = Float[Tensor, "batch channel height width"]
"""Whole numbers from 0 to 255."""
Plane = Float[Tensor, "batch height width"]

STEPS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
"""Rows and columns of pixels per chroma sample."""
CONSTANT_BITS, PASS_BITS = 13, 2
"""Fractional bits of the transform's constants, and of the numbers between its two passes."""


def compress(levels: Levels, quality: int, subsampling: str) -> Levels:
    """The 8-bit levels that libjpeg reads back from a file it wrote, for grey (one channel) or RGB images."""
    exact = levels.to(torch.float64)
    luma_table, chroma_table = tables(quality, levels.device)
    if levels.shape[1] == 1:
        return _quantize(exact[:, 0], luma_table).unsqueeze(1).to(levels.dtype)
    luma, *chroma = _to_ycc(exact).unbind(1)
    step, shape = STEPS[subsampling], levels.shape[2:]
    decoded = [_upsample(_quantize(_downsample(plane, step), chroma_table), step, shape) for plane in chroma]
    return _to_rgb(torch.stack([_quantize(luma, luma_table), *decoded], dim=1)).to(levels.dtype)


@functools.cache
def tables(quality: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The quantization tables of luma and chroma, (8, 8), that libjpeg writes for this quality."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    written = Image.open(file).quantization  # type: ignore[attr-defined]
    luma, chroma = (torch.tensor(written[index], dtype=torch.float64, device=device).view(8, 8) for index in (0, 1))
    return luma, chroma


@functools.cache
def transform(device: torch.device) -> Float[Tensor, "8 8"]:
    """The integer cosine transform of 8 numbers, one row per frequency, times sqrt(8) * 2^13.

    The algorithm of Loeffler, Ligtenberg and Moschytz (1989) with libjpeg's rounded constants, applied to the identity
    to obtain its matrix; the inverse is the transpose.
    """
    identity: NDArray[np.int64] = np.eye(8, dtype=np.int64)
    sums, differences = identity[:4] + identity[:3:-1], identity[:4] - identity[:3:-1]
    a, b, c, d = sums[0] + sums[3], sums[1] + sums[2], sums[1] - sums[2], sums[0] - sums[3]
    scale = 2**CONSTANT_BITS

    def fixed(constant: float) -> int:
        return int(constant * scale + 0.5)

    turn = fixed(0.541196100) * (c + d)
    s, t, u, v = differences[::-1]
    all_odd = fixed(1.175875602) * (s + t + u + v)
    outer, inner = -fixed(0.899976223) * (s + v), -fixed(2.562915447) * (t + u)
    left, right = all_odd - fixed(1.961570560) * (s + u), all_odd - fixed(0.390180644) * (t + v)
    rows = [
        scale * (a + b),
        fixed(1.501321110) * v + outer + right,
        turn + fixed(0.765366865) * d,
        fixed(3.072711026) * u + inner + left,
        scale * (a - b),
        fixed(2.053119869) * t + inner + right,
        turn - fixed(1.847759065) * c,
        fixed(0.298631336) * s + outer + left,
    ]
    return torch.tensor(np.stack(rows), dtype=torch.float64, device=device)


def _quantize(plane: Plane, table: Tensor) -> Plane:
    """Transform 8 x 8 blocks, quantize, and transform back; the edge is repeated to fill the last blocks."""
    height, width = plane.shape[1:]
    rows, columns = -(-height // 8), -(-width // 8)
    filled = repeat_edges(plane, 8 * rows - height, 8 * columns - width)
    blocks = filled.view(-1, rows, 8, columns, 8).transpose(2, 3) - 128
    matrix = transform(plane.device)
    coefficients = _shift_right(blocks @ matrix.T, CONSTANT_BITS - PASS_BITS)
    coefficients = _shift_right(matrix @ coefficients, CONSTANT_BITS + PASS_BITS)
    divisor = 8 * table
    quantized = coefficients.sign() * ((coefficients.abs() + divisor / 2) / divisor).floor()
    pixels = _shift_right(matrix.T @ (quantized * table), CONSTANT_BITS - PASS_BITS)
    pixels = _shift_right(pixels @ matrix, CONSTANT_BITS + PASS_BITS + 3) + 128
    return pixels.clamp(0, 255).transpose(2, 3).reshape(filled.shape)[:, :height, :width]


def _downsample(plane: Plane, step: tuple[int, int]) -> Plane:
    """The mean of the pixels of each sample; halves are rounded up and down alternately."""
    rows, columns = step
    if columns == 1:
        return plane
    height, width = plane.shape[1:]
    # Before the mean is taken, columns are repeated up to whole blocks but rows only up to a whole sample.
    plane = repeat_edges(plane, -height % rows, -width % (8 * columns))
    total = plane.unfold(1, rows, rows).unfold(2, columns, columns).sum((-1, -2))
    bias = torch.arange(total.shape[2], device=plane.device) % 2 + rows - 1
    return ((total + bias) / (rows * columns)).floor()


def _upsample(plane: Plane, step: tuple[int, int], shape: torch.Size) -> Plane:
    """Each pixel from the two nearest samples along each subsampled axis, weighted 3 to 1; rounded like libjpeg."""
    rows, columns = step
    if columns == 1:
        return plane
    plane = plane[:, : -(-shape[0] // rows), : -(-shape[1] // columns)]
    if plane.shape[2] <= 2:  # too narrow for libjpeg's filter
        return plane.repeat_interleave(rows, 1).repeat_interleave(columns, 2)[:, : shape[0], : shape[1]]
    # The offsets alternate between columns, so that halves are rounded both ways.
    offsets, bits = ([8, 7], 4) if rows == 2 else ([1, 2], 2)
    wide: Tensor = _triangle(_triangle(plane, 1) if rows == 2 else plane, 2)
    wide += torch.tensor(offsets, device=plane.device).repeat(plane.shape[2])
    wide = (wide / 2**bits).floor()
    return wide[:, : shape[0], : shape[1]]


def _triangle(plane: Plane, axis: int) -> Plane:
    """Twice as many numbers along the axis: 3 times the nearest plus the next nearest, with the edge repeated."""
    length = plane.shape[axis]
    first, last = plane.narrow(axis, 0, 1), plane.narrow(axis, length - 1, 1)
    before = torch.cat([first, plane.narrow(axis, 0, length - 1)], axis)
    after = torch.cat([plane.narrow(axis, 1, length - 1), last], axis)
    return torch.stack([3 * plane + before, 3 * plane + after], axis + 1).flatten(axis, axis + 1)


def _to_ycc(rgb: Levels) -> Levels:
    matrix = [[19595, 38470, 7471], [-11059, -21709, 32768], [32768, -27439, -5329]]  # ITU-R BT.601, times 2^16
    middle = 2**23 - 1
    weights = rgb.new_tensor(matrix)
    ycc = torch.einsum("ij,bjhw->bihw", weights, rgb)
    return _shift_right(ycc + rgb.new_tensor([0, middle, middle]).view(3, 1, 1), 16)


def _to_rgb(ycc: Levels) -> Levels:
    y, blue, red = (ycc - ycc.new_tensor([0, 128, 128]).view(3, 1, 1)).unbind(1)
    parts = [
        y + _shift_right(91881 * red, 16),
        y + _shift_right(-22554 * blue - 46802 * red, 16),
        y + _shift_right(116130 * blue, 16),
    ]
    return torch.stack(parts, dim=1).clamp_(0, 255)


def _shift_right(values: Tensor, bits: int) -> Tensor:
    """Division by 2^bits, in place, rounded to the nearest integer with halves rounded up."""
    shifted: Tensor = values.div_(2**bits).add_(0.5).floor_()
    return shifted


def repeat_edges(plane: Plane, rows: int, columns: int) -> Plane:
    """The plane with its last row and column repeated the given number of times."""
    return functional.pad(plane, (0, columns, 0, rows), mode="replicate") if rows or columns else plane
