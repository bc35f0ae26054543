"""The maximum of what an order measures on the way to adversarial images, which random points of a ball do not meet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.capacity import Capacity
from clever.attacks.descent import Nearest, descend
from clever.bounds.first_order import Order
from clever.classifier.image_context import ImageContext
from clever.classifier.margin import margins
from clever.defenses.bpda import BareNetwork, Defended, bare_network, on_segments
from clever.defenses.capabilities import needs_surrogate
from clever.defenses.chain import Identity, parts
from clever.defenses.smooth_surrogate import Smooth
from clever.norms import Norm

STEPS, POINTS = 20, 33
"""Gradients of the short attack, and points of a segment."""


@dataclass(frozen=True)
class Path:
    """``maxima``: by norm and target class, the largest value of each column on the segment to the image found for
    them, ``distances`` from the original; without those that were not found, or not within the radius. ``gradients``:
    what attacks and segments have cost, in gradients (or measures, of second order).
    """

    maxima: dict[tuple[Norm, int], list[float]]
    distances: dict[tuple[Norm, int], float]
    gradients: int
    steps: int
    points: int

    def gradients_of(self, norm: Norm, label: int) -> int:
        """Of this norm and target class alone."""
        return self.steps + self.points * ((norm, label) in self.maxima)


def path_maxima(
    network: nn.Module,
    image: Float[Tensor, "channel height width"],
    context: ImageContext,
    order: Order,
    radii: Mapping[Norm, float],
    *,
    steps: int = STEPS,
    points: int = POINTS,
) -> Path:
    """What ``order`` measures at equally spaced points of the segments from z0 to z', z = t(x) behind BPDA, else z = x.

    x' is the nearest image of g <= 0 that a short attack (`clever.descend`) finds for a norm and a target class. By the
    mean value theorem some z on the segment has <grad g(z), z' - z0> <= -g(z0), hence ||grad g(z)||_q >= g(z0) /
    ||z' - z0||_p, and for `clever.Gauge` K(z) >= g(z0) / ||x' - x0||_p. So with the maximum over the whole segment in
    L or K a score cannot exceed the distance of x'; the points leave a little of that open where the margin bends
    sharply. Deterministic. ``radii``: by norm, that of the ball; nothing outside it counts, as its score is at most the
    radius. The network must be `clever.classifier.wrappers.frozen`.
    """
    measured, transform = on_segments(network)
    defense = measured.defense if isinstance(measured, BareNetwork) else Identity()
    maxima, distances, gradients = {}, {}, 0
    for norm, radius in radii.items():
        found = _attacked(network, image, context, norm, steps, defense)
        gradients += steps * len(context.classes)
        for row, label in enumerate(context.classes):
            distance = float(found.distance[row])
            if distance > radius:
                continue
            shares = torch.linspace(0, 1, points, device=image.device, dtype=image.dtype).view(-1, 1, 1, 1)
            ends = transform(torch.stack([image, found.image[row]]))
            measure = order.measure(measured, image, context, [label])
            values = Capacity.estimate(measure, image).run(measure, ends[:1].lerp(ends[1:], shares))
            maxima[norm, label] = values[:, 0].amax(0).tolist()
            distances[norm, label] = distance
            gradients += points
    return Path(maxima, distances, gradients, steps, points)


def _attacked(
    network: nn.Module,
    image: Tensor,
    context: ImageContext,
    norm: Norm,
    steps: int,
    defense: Callable[[Tensor], Tensor],
) -> Nearest:
    """A row a target class. Behind JPEG gradients come through its surrogate: BPDA alone finds little there."""
    if isinstance(network, Defended) and bare_network(network) and any(map(needs_surrogate, parts(defense))):
        network = Defended(network.network, defense, backward=Smooth(defense, jpeg_only=True)).eval()

    def margin(images: Tensor) -> Tensor:
        return margins(network(images), context.predicted, context.classes).diagonal()

    rows = image.expand(len(context.classes), -1, -1, -1)
    return descend(margin, rows, norm, steps=steps, defense=defense)
