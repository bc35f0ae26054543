"""Bringing adversarial images nearer to their originals. Whatever proposes an image, only what is verified is kept."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever._internal.bisection import bisect
from clever._internal.types import Images, Transformation
from clever.attacks.criterion import HeldOutDraws
from clever.attacks.descent import pixelwise
from clever.attacks.projection import projected
from clever.attacks.target_margin import target_margin
from clever.norms import Norm

Rows = Float[Tensor, " row"]

HALVINGS = 12
"""Of a bisection: what it finds is exact to a 4000th of where it started."""

OUTWARD = (1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0)
"""Times the change."""


class BestSoFar:
    """The nearest adversarial image of each row so far, ``image``, and its ``distance``; at first the original and inf.

    Guarantee: an image is kept only if it lies in [0,1] and the network predicted the target class for this very image,
    all logits being finite; behind a random defense only if the share ``rate`` of the ``held_out`` draws that do so is
    large enough, too. ``distance`` is in the norm and in [0,1]-pixel units. The network must be
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
        """What leads from the original to the image: zero where none was found."""
        return self.image - self.originals

    def evaluate(self, images: Images) -> tuple[Float[Tensor, "row class"], Bool[Tensor, " row"]]:
        """The logits of the images and which are adversarial; keeps those that are nearer than the ones known."""
        images = images.clamp(0, 1)
        logits = self.network(images)
        images, values = images.detach(), logits.detach()
        # NaN is in no range, and argmax would take it for the largest logit.
        sound = values.isfinite().all(1) & images.isfinite().flatten(1).all(1)
        adversarial: Tensor = sound & (values.argmax(1) == self.targets)
        rate = torch.full_like(self.rate, math.nan)
        if self.held_out and bool(adversarial.any()):
            rate[adversarial] = self.held_out.rate(images[adversarial], self.targets[adversarial])
            adversarial = adversarial & self.held_out.accepted(rate)
        self.accepted = adversarial | torch.tensor(self.held_out is None, device=rate.device)
        distance = self.norm.of(images - self.originals)
        nearer = adversarial & (distance < self.distance)
        self.image = torch.where(_wide(nearer), images, self.image)
        self.distance = torch.where(nearer, distance, self.distance)
        self.rate = torch.where(nearer, rate, self.rate)
        return logits, adversarial

    def margin(self, images: Images) -> Rows:
        """By how much the largest other logit exceeds the target's, negative where adversarial; keeps as `evaluate`.

        ``accepted`` says which of these images the held-out draws accept, too.
        """
        logits, _ = self.evaluate(images)
        return target_margin(logits, self.targets)

    def keep_if_closer(self, images: Images) -> Bool[Tensor, " row"]:
        """Which images are adversarial, by a forward pass alone; keeps those that are nearer."""
        with torch.no_grad():
            return self.evaluate(images)[1]


def overshoot(nearest: BestSoFar, images: Images) -> None:
    """Beyond these images on the same ways, until something is found: at the boundary of the mean, half of a random
    network's draws are against.
    """
    for factor in OUTWARD:
        if bool(nearest.distance.isfinite().all()):
            break
        nearest.keep_if_closer(nearest.originals + factor * (images - nearest.originals))


def shrink(nearest: BestSoFar) -> None:
    """Bisection towards the original: through its projections onto smaller balls, then along the segment.

    On a staircase, where the network changes its mind more than once, this finds some verified image, not the nearest.
    """
    change, distance = nearest.change, nearest.distance.nan_to_num(posinf=0)
    _bisect(nearest, lambda share: projected(change, nearest.norm, share * distance))
    change = nearest.change
    _bisect(nearest, lambda share: _wide(share) * change)


def snap_back(nearest: BestSoFar, transformation: Transformation) -> None:
    """Takes back what the transformation does not notice: the same t(x) from an image nearer to the original.

    Gradients say nothing of where on its step a pixel lies (`snapped_back`). And t(x) itself is tried, which for a
    codec keeps what it kept and drops the rest, as t(t(x)) is nearly t(x).
    """
    noticed = transformation(nearest.image)
    for staircase in (pixelwise(transformation), transformation):
        nearest.keep_if_closer(snapped_back(nearest.originals, nearest.image, staircase))
    nearest.keep_if_closer(noticed)


def snapped_back(originals: Images, images: Images, transformation: Transformation) -> Images:
    """Every pixel goes back as far as its t stays the same, by bisection with t alone: exact if t is pixelwise."""
    noticed, change = transformation(images), images - originals

    def noticeable(share: Tensor) -> Tensor:
        return transformation((originals + share * change).clamp(0, 1)) != noticed

    _, share = bisect(noticeable, torch.zeros_like(change), torch.ones_like(change), HALVINGS)
    return originals + share * change


def sparsify(nearest: BestSoFar, transformation: Transformation, rounds: int, generator: torch.Generator) -> None:
    """Random local search: some pixels go back to the original, every other time a part of the way.

    A forward pass a round, of an image from which what the staircase does not notice is taken back. The share of pixels
    grows with success and falls with failure. ``generator`` on the images' device.
    """
    share, staircase = torch.full_like(nearest.distance, 0.1), pixelwise(transformation)
    for turn in range(rounds):
        chosen = torch.rand(nearest.image.shape, generator=generator, device=share.device) < _wide(share)
        kept = _wide(torch.rand(len(share), generator=generator, device=share.device, dtype=share.dtype)) * (turn % 2)
        candidates = nearest.originals + torch.where(chosen, kept * nearest.change, nearest.change)
        before = nearest.distance
        nearest.keep_if_closer(snapped_back(nearest.originals, candidates, staircase))
        share = torch.where(nearest.distance < before, share * 1.5, share * 0.9).clamp(0.001, 0.9)


def _bisect(nearest: BestSoFar, at: Callable[[Rows], Images]) -> None:
    none, all_of_it = torch.zeros_like(nearest.distance), torch.ones_like(nearest.distance)
    bisect(lambda share: ~nearest.keep_if_closer(nearest.originals + at(share)), none, all_of_it, HALVINGS)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
