"""The gauge behind a defense that rounds coefficients, such as JPEG: a staircase in their space."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever.bounds.gauge.jumps import EvenSides
from clever.bounds.gauge.knapsack import solve
from clever.defenses.staircase import CoefficientSteps
from clever.norms import Norm


class CoefficientGauge:
    """h(G) around one image of ``dimension`` numbers, for gradients G and margins g; called as
    `clever.bounds.gauge.order.GaugeOf`.

    A coefficient's jump over a multiple of its step gains the inner product of G with the response to it, and costs the
    way to the rounding boundary over the ``stretch`` in L2, at least. The same h is valid for L1, whose norm is no
    smaller; for Linf it is divided by the square root of the dimension, which can leave little of it.
    """

    def __init__(self, around: CoefficientSteps, dimension: int) -> None:
        self.to_coefficients, self.dimension = around.to_coefficients, dimension
        coefficients, step, scale = around.coefficients, around.steps, around.stretch
        whole = (coefficients / step).round()
        most = (around.largest / step).ceil()
        self.sides = EvenSides(
            first=torch.stack([coefficients - (whole - 0.5) * step, (whole + 0.5) * step - coefficients]) / scale,
            count=torch.stack([most + whole, most - whole]).clamp(min=0),
            spacing=step / scale,
            width=around.widths,
        )

    def __call__(self, gradients: Float[Tensor, "row ..."], margin: Float[Tensor, " row"]) -> Float[Tensor, "row norm"]:
        """In the norms L1, L2, Linf."""
        by_coefficient = self.to_coefficients(gradients)
        directed = self.sides.in_direction(by_coefficient > 0)
        distance = solve(directed, by_coefficient.abs(), margin, Norm.L2).distance
        return torch.stack([distance, distance, distance / math.sqrt(self.dimension)], 1)
