"""The gauge behind JPEG: a staircase in the space of its coefficients."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever.errors import InputError
from clever.jpeg_linear import Linear, largest_singular_value
from clever.jumps import EvenSides
from clever.knapsack import solve
from clever.norms import Norm
from clever.transforms import JPEG, Rounding

LARGEST = 1024.0
"""No coefficient of an orthonormal transform of 8 x 8 numbers from -128 to 127 is larger."""


class JPEGGauge:
    """h(G) of JPEG around one image of 8 bits, for gradients G and margins g; called as `clever.gauge.GaugeOf`.

    A coefficient's jump over a multiple of its quantization step gains the inner product of G with the decoder's
    response to it, and costs the way to the rounding boundary in L2, at least: divided by 255, by the encoder's largest
    singular value (.69 for 4:2:0), and by 2 for the rounding to 8 bits before the codec, which moves no pixel of an
    8-bit image by more than twice what the attacker does. The same h is valid for L1, whose norm is no smaller; for
    Linf it is divided by the square root of the dimension, which can leave little of it.

    Left out are the roundings inside the codec and its clipping to 0..255, a level or so each: unlike that of pixelwise
    staircases this gauge is a bound of an idealised codec. `InputError` where 8 bits are reached by truncation, from
    which any change can move a pixel a level, and for images that are not of 8 bits.
    """

    def __init__(self, defense: JPEG, image: Float[Tensor, "channel height width"]) -> None:
        if Rounding.parse(defense.to_uint8) is not Rounding.ROUND:
            raise InputError(
                "the gauge behind JPEG needs to_uint8=round: truncation to 8 bits moves pixels by a level for nothing"
            )
        levels = image.unsqueeze(0) * 255
        if float((levels - levels.round()).abs().max()) > 1e-2:
            raise InputError("the gauge behind JPEG needs images of 8 bits, pixels that are whole multiples of 1/255")
        self.linear = Linear(image, defense.quality, defense.subsampling)
        table = self.linear.table
        coefficients = self.linear.encode(levels.round())
        whole = (coefficients / table).round()
        scale = 2 * 255 * largest_singular_value(tuple(image.shape), defense.subsampling)
        most = (LARGEST / table).ceil()
        self.sides = EvenSides(
            first=torch.stack([coefficients - (whole - 0.5) * table, (whole + 0.5) * table - coefficients]) / scale,
            count=torch.stack([most + whole, most - whole]).clamp(min=0),
            spacing=table / scale,
            width=table / 255,
        )
        self.dimension = image.numel()

    def __call__(self, gradients: Float[Tensor, "row ..."], margin: Float[Tensor, " row"]) -> Float[Tensor, "row norm"]:
        """In the norms L1, L2, Linf."""
        by_coefficient = self.linear.to_coefficients(gradients)
        directed = self.sides.in_direction(by_coefficient > 0)
        distance = solve(directed, by_coefficient.abs(), margin, Norm.L2).distance
        return torch.stack([distance, distance, distance / math.sqrt(self.dimension)], 1)
