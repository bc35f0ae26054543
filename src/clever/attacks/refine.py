"""Refinement: moves adversarial images closer to their originals and keeps only verified results."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever._internal.bisection import bisect
from clever._internal.broadcast import per_row
from clever._internal.types import Images, Transformation
from clever.attacks.criterion import HeldOutDraws
from clever.attacks.descent import pixelwise
from clever.attacks.projection import project
from clever.attacks.target_margin import target_margin
from clever.defenses.chain import Chain, Identity
from clever.defenses.expectation import Expectation
from clever.norms import Norm

Rows = Float[Tensor, " row"]

HALVINGS = 12
"""Steps of a bisection: its result is exact to 1/4096 of the initial interval."""

OUTWARD = (1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0)
"""Factors of the change that `overshoot` tries."""


class BestSoFar:
    """The nearest adversarial ``image`` of each row so far and its ``distance``; initially the original and infinity.

    Guarantee: an image is kept only if it lies in [0,1] and the network predicted the target class for this very image
    with finite logits. Behind a random defense the share ``rate`` of the ``held_out`` draws that predict the target
    class must also exceed the threshold. ``distance`` is in [0,1]-pixel units. The network must be
    `clever.classifier.wrappers.frozen`.
    """

    def __init__(
        self,
        network: nn.Module,
        originals: Images,
        targets: Tensor,
        norm: Norm,
        *,
        held_out: HeldOutDraws | None = None,
    ) -> None:
        self.network, self.originals, self.targets, self.norm = network, originals, targets, norm
        self.held_out = held_out
        self.image = originals.clone()
        self.distance = originals.new_full((len(originals),), math.inf)
        self.rate = originals.new_full((len(originals),), math.nan)
        self.accepted = torch.ones_like(targets, dtype=torch.bool)

    @property
    def change(self) -> Images:
        """The image minus the original: zero where none was found."""
        return self.image - self.originals

    def evaluate(self, images: Images) -> tuple[Float[Tensor, "row class"], Bool[Tensor, " row"]]:
        """The logits of the images and which are adversarial; keeps those that are nearer than the best so far."""
        images = images.clamp(0, 1)
        logits = self.network(images)
        images, values = images.detach(), logits.detach()
        # clamp leaves NaN in place, and argmax treats it as the largest logit.
        finite = values.isfinite().all(1) & images.isfinite().flatten(1).all(1)
        adversarial: Tensor = finite & (values.argmax(1) == self.targets)
        rate = torch.full_like(self.rate, math.nan)
        if self.held_out and bool(adversarial.any()):
            rate[adversarial] = self.held_out.rate(images[adversarial], self.targets[adversarial])
            adversarial = adversarial & self.held_out.accepted(rate)
        self.accepted = adversarial | torch.tensor(self.held_out is None, device=rate.device)
        distance = self.norm.of(images - self.originals)
        nearer = adversarial & (distance < self.distance)
        self.image = torch.where(per_row(nearer, images), images, self.image)
        self.distance = torch.where(nearer, distance, self.distance)
        self.rate = torch.where(nearer, rate, self.rate)
        return logits, adversarial

    def margin(self, images: Images) -> Rows:
        """The largest other logit minus the target's, negative where adversarial; keeps images like `evaluate`.

        Afterwards ``accepted`` marks the images that the held-out draws accept.
        """
        logits, _ = self.evaluate(images)
        return target_margin(logits, self.targets)

    def keep_if_closer(self, images: Images) -> Bool[Tensor, " row"]:
        """Which images are adversarial, by a forward pass without gradient; keeps those that are nearer."""
        with torch.no_grad():
            return self.evaluate(images)[1]


def overshoot(nearest: BestSoFar, images: Images) -> None:
    """Try larger multiples of the changes until every row has an adversarial image.

    On the decision boundary of the mean over draws, about half of a random network's draws reject the image.
    """
    for factor in OUTWARD:
        if bool(nearest.distance.isfinite().all()):
            break
        nearest.keep_if_closer(nearest.originals + factor * (images - nearest.originals))


def shrink(nearest: BestSoFar) -> None:
    """Bisection towards the original: through its projections onto smaller balls, then along the segment.

    On a staircase, where the prediction can change more than once on the way, the result is verified but need not be
    the nearest image on that path.
    """
    change, distance = nearest.change, nearest.distance.nan_to_num(posinf=0)
    _bisect(nearest, lambda share: project(change, nearest.norm, share * distance))
    change = nearest.change
    _bisect(nearest, lambda share: per_row(share, change) * change)


def as_image_map(defense: Transformation) -> Transformation | None:
    """The defense for `snap_back`; None for the identity and for a mean over draws, which is no map of images."""
    return None if isinstance(defense, Identity | Expectation) else Chain([defense])


def snap_back(nearest: BestSoFar, transformation: Transformation) -> None:
    """Undo changes that do not affect t(x), so that a nearer image has the same t(x) (`snapped_back`).

    Gradients do not show where on its step a pixel lies. t(x) itself is tried as well: a codec has already removed
    changes that it does not keep, and t(t(x)) is nearly t(x).
    """
    transformed = transformation(nearest.image)
    for staircase in (pixelwise(transformation), transformation):
        nearest.keep_if_closer(snapped_back(nearest.originals, nearest.image, staircase))
    nearest.keep_if_closer(transformed)


def snapped_back(originals: Images, images: Images, transformation: Transformation) -> Images:
    """Each pixel moved back as far as its value in t stays the same, by bisection of t; exact if t is pixelwise."""
    transformed, change = transformation(images), images - originals

    def differs(share: Tensor) -> Tensor:
        return transformation((originals + share * change).clamp(0, 1)) != transformed

    _, share = bisect(differs, torch.zeros_like(change), torch.ones_like(change), HALVINGS)
    return originals + share * change


def sparsify(nearest: BestSoFar, transformation: Transformation, rounds: int, generator: torch.Generator) -> None:
    """Random local search that restores some pixels to the original, in every other round only part of the way.

    Each round takes a forward pass of an image that was first snapped back. The share of pixels grows after success and
    falls after failure. ``generator`` must be on the images' device.
    """
    share, staircase = torch.full_like(nearest.distance, 0.1), pixelwise(transformation)
    for turn in range(rounds):
        change = nearest.change
        chosen = torch.rand(change.shape, generator=generator, device=share.device) < per_row(share, change)
        remaining = torch.rand(len(share), generator=generator, device=share.device, dtype=share.dtype)
        reduced = per_row(remaining, change) * (turn % 2) * change
        candidates = nearest.originals + torch.where(chosen, reduced, change)
        before = nearest.distance
        nearest.keep_if_closer(snapped_back(nearest.originals, candidates, staircase))
        share = torch.where(nearest.distance < before, share * 1.5, share * 0.9).clamp(0.001, 0.9)


def _bisect(nearest: BestSoFar, change_at: Callable[[Rows], Images]) -> None:
    low, high = torch.zeros_like(nearest.distance), torch.ones_like(nearest.distance)
    bisect(lambda share: ~nearest.keep_if_closer(nearest.originals + change_at(share)), low, high, HALVINGS)
