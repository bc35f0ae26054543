"""The gauge behind a defense that quantizes coefficients, such as JPEG: a staircase in coefficient space."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever.bounds.gauge.jumps import EvenSides
from clever.bounds.gauge.knapsack import solve
from clever.defenses.staircase import CoefficientSteps
from clever.norms import Norm


class CoefficientGauge:
    """The gauge h(G) around one image of ``dimension`` numbers, a `clever.bounds.gauge.order.GaugeFunction`.

    A jump of a coefficient across rounding boundaries gains the inner product of G with its response; in L2 it costs at
    least the distance to the boundary divided by ``stretch``. The same h is valid for L1, whose norm is no smaller than
    L2; for Linf it is divided by the square root of the dimension, which can make it weak.
    """

    def __init__(self, around: CoefficientSteps, dimension: int) -> None:
        self.to_coefficients, self.dimension = around.to_coefficients, dimension
        coefficients, step, scale = around.coefficients, around.steps, around.stretch
        index = (coefficients / step).round()
        limit = (around.largest / step).ceil()
        self.sides = EvenSides(
            first=torch.stack([coefficients - (index - 0.5) * step, (index + 0.5) * step - coefficients]) / scale,
            count=torch.stack([limit + index, limit - index]).clamp(min=0),
            spacing=step / scale,
            width=around.widths,
        )

    def __call__(self, gradients: Float[Tensor, "row ..."], margin: Float[Tensor, " row"]) -> Float[Tensor, "row norm"]:
        """h in the norms L1, L2, Linf."""
        by_coefficient = self.to_coefficients(gradients)
        directed = self.sides.in_direction(by_coefficient > 0)
        distance = solve(directed, by_coefficient.abs(), margin, Norm.L2).distance
        return torch.stack([distance, distance, distance / math.sqrt(self.dimension)], 1)
