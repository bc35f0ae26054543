"""The maximum of an order's measure on the segments to adversarial images, which random points of a ball miss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.capacity import Capacity
from clever.attacks.descent import Nearest, descend
from clever.attacks.surrogate import with_surrogate
from clever.bounds.first_order import Order
from clever.classifier.image_context import ImageContext
from clever.classifier.margin import margins
from clever.defenses.bpda import BareNetwork, segment_network
from clever.defenses.chain import Identity
from clever.norms import Norm

STEPS, POINTS = 20, 33
"""Gradients of the short attack, and points per segment."""


@dataclass(frozen=True)
class Path:
    """The values on the segments, by norm and target class.

    ``maxima``: the largest value of each column on the segment to the adversarial image; ``distances``: of these images
    from the original. Both omit pairs without an image within the radius. ``gradients``: the cost of attacks and
    segments, in gradients (in evaluations of the measure for the second order).
    """

    maxima: dict[tuple[Norm, int], list[float]]
    distances: dict[tuple[Norm, int], float]
    gradients: int

    def gradient_cost(self, norm: Norm, label: int) -> int:
        """The cost in gradients of this norm and target class alone."""
        return STEPS + POINTS * ((norm, label) in self.maxima)


def path_maxima(
    network: nn.Module,
    image: Float[Tensor, "channel height width"],
    context: ImageContext,
    order: Order,
    radii: Mapping[Norm, float],
) -> Path:
    """The measure of ``order`` at equally spaced points of the segments from z0 to z'.

    z = t(x) behind BPDA and z = x elsewhere. x' is the nearest image with g < 0 that a short attack (`clever.descend`)
    finds for a norm and target class. By the mean value theorem some z on the segment has <grad g(z), z' - z0> <=
    -g(z0), hence ||grad g(z)||_q >= g(z0) / ||z' - z0||_p, and for `clever.Gauge` K(z) >= g(z0) / ||x' - x0||_p. So if
    L or K includes the maximum over the whole segment, the score cannot exceed the distance of x'; with finitely many
    points this can fail slightly where the margin bends sharply. Deterministic. ``radii``: the radius of the ball in
    each norm; images outside it are ignored, because the score is at most the radius. The network must be
    `clever.classifier.wrappers.frozen`.
    """
    measured, transform = segment_network(network)
    defense = measured.defense if isinstance(measured, BareNetwork) else Identity()
    maxima, distances, gradients = {}, {}, 0
    for norm, radius in radii.items():
        nearest = _attack(network, image, context, norm, defense)
        gradients += STEPS * len(context.classes)
        for row, label in enumerate(context.classes):
            distance = float(nearest.distance[row])
            if distance > radius:
                continue
            shares = torch.linspace(0, 1, POINTS, device=image.device, dtype=image.dtype).view(-1, 1, 1, 1)
            ends = transform(torch.stack([image, nearest.image[row]]))
            measure = order.measure(measured, image, context, [label])
            values = Capacity.estimate(measure, image).run(measure, ends[:1].lerp(ends[1:], shares))
            maxima[norm, label] = values[:, 0].amax(0).tolist()
            distances[norm, label] = distance
            gradients += POINTS
    return Path(maxima, distances, gradients)


def _attack(
    network: nn.Module,
    image: Tensor,
    context: ImageContext,
    norm: Norm,
    defense: Callable[[Tensor], Tensor],
) -> Nearest:
    """One row per target class. Behind JPEG the surrogate gradient is used, because BPDA's identity finds little."""
    network = with_surrogate(network)

    def margin(images: Tensor) -> Tensor:
        return margins(network(images), context.predicted, context.classes).diagonal()

    rows = image.expand(len(context.classes), -1, -1, -1)
    return descend(margin, rows, norm, steps=STEPS, defense=defense)
