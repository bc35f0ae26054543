"""A gauge that takes the gradient's norm's place behind a staircase, and the images its minimum leads to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.capacity import Measure
from clever._internal.types import Transformation
from clever.bounds import formulas as bounds
from clever.bounds.gauge.jpeg import CoefficientGauge
from clever.bounds.gauge.jumps import sides
from clever.bounds.gauge.knapsack import solve
from clever.classifier.image_context import ImageContext, reference_classifier
from clever.classifier.margin import map_gradients
from clever.defenses.bpda import BPDA, BareNetwork, Defended
from clever.defenses.capabilities import method_of, steps_of
from clever.defenses.chain import parts
from clever.errors import InputError
from clever.norms import Norm
from clever.sampling.maxima import BatchMaxima
from clever.settings import Reference, Settings

NORMS = tuple(Norm)
Gradients = Float[Tensor, "row channel height width"]
GaugeOf = Callable[[Gradients, Float[Tensor, " row"]], Float[Tensor, "row norm"]]
"""h(G) for gradients G and margins g, in the norms of `NORMS`."""
NEAREST = 1e-8
"""The least h that is told apart from 0, well below what rounding does to a pixel: K = g / h must be finite."""


@dataclass(frozen=True)
class Gauge:
    """K = g / h(G) in place of the gradient's norm, for a classifier behind a pixelwise staircase with BPDA.

    h(G) = min { ||x' - x0||_p : x' in [0,1]^d, <G, t(x') - z0> <= -g }, z0 = t(x0), G the gradient of f's margin at a
    point z and g the margin at z0. By the mean value theorem on the segment from z0 to t(x'), no x' nearer than the
    least h(G(z)) changes the class, z ranging over the segments from z0 to t(x), x in the ball. So the maximum of K
    over them makes min(g / K, R) a lower bound of the distance of the *input*; estimated from samples, it is an
    estimate. For t = identity K is the dual norm of G, and this the first order on segments.

    h is the value of a knapsack with a linear relaxation that is never above it (`clever.bounds.gauge.knapsack`).
    Points are drawn on the segments, whatever the settings say. Which staircases: those with a method ``steps``
    (`Quantize`, `PNG`, `BitDepth`, chains of these, transformations of one's own), and those with ``coefficient_steps``
    (`JPEG`, an idealised one), in the space of their coefficients. `InputError` for others, for a classifier without
    BPDA, and where the settings take g(x0) from the undefended classifier.
    """

    @property
    def name(self) -> str:
        """For tables."""
        return "gauge"

    @property
    def segments(self) -> bool:
        """Always: the theorem needs them."""
        return True

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """`InputError` for a classifier behind anything but staircases that it knows, or without BPDA."""
        if isinstance(network, Defended) and parts(network.defense):
            if not isinstance(network.transformation, BPDA):
                raise InputError(f"the gauge needs BPDA: the true gradient behind {network.defense} is zero")
            if network.backward is not None:
                raise InputError(f"the gauge needs the gradient of f itself, not one through {network.backward}")
            if reference_classifier(network, settings) is not network:
                raise InputError(
                    f"reference is {settings.reference}: the gauge needs the margin of the classifier whose gradients "
                    f"it takes. Choose {Reference.DEFENDED}"
                )
            gauge_of(network.defense, example[0])

    def measure(
        self,
        network: nn.Module,
        image: Float[Tensor, "channel height width"],
        context: ImageContext,
        targets: Sequence[int],
    ) -> Measure:
        """K in the three norms."""
        h = gauge_of(network.defense if isinstance(network, BareNetwork) else None, image)

        def measured(target: int, gradient: Tensor) -> Tensor:
            margin = gradient.new_full((len(gradient),), max(context.margins[target], NEAREST))
            inverse = margin.unsqueeze(1) / h(gradient, margin).clamp(min=NEAREST)
            return inverse + 0 * gradient.flatten(1).sum(1, keepdim=True)  # NaN must show

        def gauges(points: Tensor) -> Tensor:
            return map_gradients(network, points, context.predicted, targets, measured)

        return gauges

    def column(self, norm: Norm, settings: Settings) -> int:
        """The norm's own."""
        return NORMS.index(norm)

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min(g / K, R)."""
        return bounds.first_order(context.margins[target], maximum, radius)

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """None."""
        return {}


def gauge_of(defense: Transformation | None, image: Float[Tensor, "channel height width"]) -> GaugeOf:
    """The gauge h of gradients around one image."""
    if defense is None or not parts(defense):
        return lambda gradients, margin: torch.stack(
            [margin / norm.dual.of(gradients).clamp(min=torch.finfo(margin.dtype).tiny) for norm in NORMS], 1
        )
    first, *others = parts(defense)
    around = method_of(first, "coefficient_steps")
    if around and not others:
        return CoefficientGauge(around(image), image.numel())
    steps, x0 = steps_of(defense), image.unsqueeze(0)
    both = sides(steps, x0.flatten(1), defense(x0).flatten(1))

    def of(gradients: Tensor, margin: Tensor) -> Tensor:
        flat = gradients.flatten(1)
        directed, weights = both.in_direction(flat > 0), flat.abs()
        return torch.stack([solve(directed, weights, margin, norm).distance for norm in NORMS], 1)

    return of


def minimiser(
    defense: Transformation,
    images: Float[Tensor, "row channel height width"],
    gradients: Float[Tensor, "row channel height width"],
    margins: Float[Tensor, " row"],
    norm: Norm,
    overshoot: float = 1e-6,
) -> Float[Tensor, "row channel height width"]:
    """Near x' with <G, t(x') - t(x0)> <= -g, for a row each of images x0, gradients G and margins g > 0.

    The images that the jumps of the gauge's knapsack lead to: each pixel that jumps lies ``overshoot`` beyond its
    boundary, within [0,1]; all others stay. ||x' - x0||_p is within one pixel's jump (and, for pixels with equal gain
    and cost, all of theirs) of the least. Where all jumps together fall short of g, x' takes all of them. `InputError`
    for a ``defense`` that is no pixelwise staircase with known steps.
    """
    both = sides(steps_of(defense), images.flatten(1), defense(images).flatten(1))
    down = gradients.flatten(1) > 0
    directed = both.in_direction(down)
    jumps = solve(directed, gradients.flatten(1).abs(), margins, norm).jumps
    moved = torch.where(jumps > 0, directed.distance(jumps) + overshoot, 0)
    return (images.flatten(1) + torch.where(down, -moved, moved)).clamp(0, 1).view_as(images)
