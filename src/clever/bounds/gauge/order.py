"""The gauge, which replaces the gradient's norm behind a staircase, and the images that attain its minimum."""

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
GaugeFunction = Callable[[Gradients, Float[Tensor, " row"]], Float[Tensor, "row norm"]]
"""h(G) for gradients G and margins g, in the norms of `NORMS`."""
OVERSHOOT = 1e-6
NEAREST = 1e-8
"""The smallest h, well below the rounding error of a pixel; it keeps K = g / h finite."""


@dataclass(frozen=True)
class Gauge:
    """K = g / h(G) in place of the gradient's norm, for a classifier behind a staircase with BPDA.

    h(G) = min { ||x' - x0||_p : x' in [0,1]^d, <G, t(x') - z0> <= -g }, where z0 = t(x0), G is the gradient of f's
    margin at a point z, and g is the margin at z0. By the mean value theorem on the segment from z0 to t(x'), no x'
    nearer than the smallest h(G(z)) changes the class, where z ranges over the segments from z0 to t(x) for x in the
    ball. So with the maximum of K over these segments, min(g / K, R) is a lower bound on the distance of the *input*;
    with a sampled maximum it is an estimate. For t = identity K is the dual norm of G, and this is the first order on
    segments.

    h is bounded from below by the linear relaxation of a knapsack (`clever.bounds.gauge.knapsack`). Points are always
    drawn on the segments, regardless of the settings. It supports defenses with a method ``steps`` (`Quantize`, `PNG`,
    `BitDepth`, chains of these, and user-defined ones) and, in their coefficient space, those with
    ``coefficient_steps`` (an idealised `JPEG`). `InputError` for others, for a classifier without BPDA, and for
    settings that take g(x0) from the undefended classifier.

        clever.score(clever.Defended(network, clever.Quantize(levels=16)), images, order="gauge")
    """

    @property
    def name(self) -> str:
        """The name in tables."""
        return "gauge"

    @property
    def segments(self) -> bool:
        """True: the theorem needs them."""
        return True

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """Raise `InputError` for a defense without known steps, for a backward pass other than BPDA's identity, and for
        a reference other than the classifier itself."""
        if isinstance(network, Defended) and parts(network.defense):
            if not isinstance(network.transformation, BPDA):
                raise InputError(f"the gauge needs BPDA: the true gradient behind {network.defense} is zero")
            if network.backward is not None:
                raise InputError(f"the gauge needs the gradient of f itself, not one through {network.backward}")
            if reference_classifier(network, settings) is not network:
                raise InputError(
                    f"reference is {settings.reference}: the gauge needs the margin of the classifier whose gradients "
                    f"it uses. Choose {Reference.DEFENDED}"
                )
            gauge_function(network.defense, example[0])

    def measure(
        self,
        network: nn.Module,
        image: Float[Tensor, "channel height width"],
        context: ImageContext,
        targets: Sequence[int],
    ) -> Measure:
        """K in the three norms."""
        h = gauge_function(network.defense if isinstance(network, BareNetwork) else None, image)

        def measured(target: int, gradient: Tensor) -> Tensor:
            margin = gradient.new_full((len(gradient),), max(context.margins[target], NEAREST))
            inverse = margin.unsqueeze(1) / h(gradient, margin).clamp(min=NEAREST)
            return inverse + 0 * gradient.flatten(1).sum(1, keepdim=True)  # propagates NaN

        def gauges(points: Tensor) -> Tensor:
            return map_gradients(network, points, context.predicted, targets, measured)

        return gauges

    def column(self, norm: Norm, settings: Settings) -> int:
        """The column of the norm itself."""
        return NORMS.index(norm)

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min(g / K, R)."""
        return bounds.first_order(context.margins[target], maximum, radius)

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """Empty: the gauge has no diagnostics."""
        return {}


def gauge_function(defense: Transformation | None, image: Float[Tensor, "channel height width"]) -> GaugeFunction:
    """The gauge h around one image, as a function of gradients and margins."""
    if defense is None or not parts(defense):
        return lambda gradients, margin: torch.stack(
            [margin / norm.dual.of(gradients).clamp(min=torch.finfo(margin.dtype).tiny) for norm in NORMS], 1
        )
    first, *others = parts(defense)
    coefficient_steps = method_of(first, "coefficient_steps")
    if coefficient_steps and not others:
        return CoefficientGauge(coefficient_steps(image), image.numel())
    steps, x0 = steps_of(defense), image.unsqueeze(0)
    jumps = sides(steps, x0.flatten(1), defense(x0).flatten(1))

    def gauge(gradients: Tensor, margin: Tensor) -> Tensor:
        flat = gradients.flatten(1)
        directed, weights = jumps.in_direction(flat > 0), flat.abs()
        return torch.stack([solve(directed, weights, margin, norm).distance for norm in NORMS], 1)

    return gauge


def minimiser(
    defense: Transformation,
    images: Float[Tensor, "row channel height width"],
    gradients: Float[Tensor, "row channel height width"],
    margins: Float[Tensor, " row"],
    norm: Norm,
) -> Float[Tensor, "row channel height width"]:
    """Images x' close to x0 with <G, t(x') - t(x0)> <= -g, for each row of images x0, gradients G and margins g > 0.

    They follow from the jumps of the gauge's knapsack: each pixel that jumps is placed `OVERSHOOT` beyond its
    boundary within [0,1], and all others stay. ||x' - x0||_p is within one pixel's jump of the minimum (or, for pixels
    with equal gain and cost, within all their jumps). Where even all jumps gain less than g, x' takes all of them.
    `InputError` for a ``defense`` that is not a pixelwise staircase with known steps.
    """
    down = gradients.flatten(1) > 0
    directed = sides(steps_of(defense), images.flatten(1), defense(images).flatten(1)).in_direction(down)
    jumps = solve(directed, gradients.flatten(1).abs(), margins, norm).jumps
    moved = torch.where(jumps > 0, directed.distance(jumps) + OVERSHOOT, 0)
    return (images.flatten(1) + torch.where(down, -moved, moved)).clamp(0, 1).view_as(images)
