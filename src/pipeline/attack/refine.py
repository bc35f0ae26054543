"""Bringing adversarial images nearer to their originals. Whatever proposes an image, only what is verified is kept."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever.bisection import bisected
from clever.bpda import BPDA, Transformation
from clever.chain import Identity
from clever.descent import pixelwise
from clever.norms import Norm
from clever.projection import projected
from clever.quantization import PNG
from pipeline.attack.chance import Jury

Images = Float[Tensor, "row channel height width"]
Rows = Float[Tensor, " row"]

HALVINGS = 12
"""Of a bisection: what it finds is exact to a 4000th of where it started."""

OUTWARD = (1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0)
"""Times the change."""


class Nearest:
    """The nearest adversarial image of each row so far, ``image``, and its ``distance``; at first the original and inf.

    Guarantee: an image is kept only if it lies in [0,1], is rounded to 8 bits where that is asked for, and the network
    took this very image for the target class, all its logits being finite; with a ``jury``, only if that is convinced,
    too, by the ``rate`` of its draws that do. ``distance`` is in the norm and in [0,1]-pixel units. ``searched``: the
    network that the search differentiates, by default the one that decides. Both must be `clever.models.frozen`.
    """

    def __init__(
        self,
        network: nn.Module,
        originals: Images,
        targets: Tensor,
        norm: Norm,
        *,
        eight_bits: bool,
        searched: nn.Module | None = None,
        jury: Jury | None = None,
    ) -> None:
        self.network, self.originals, self.targets, self.norm = network, originals, targets, norm
        self.searched, self.jury, self.eight_bits = searched or network, jury, eight_bits
        self.format = BPDA(PNG() if eight_bits else Identity())
        self.image = originals.clone()
        self.distance = originals.new_full((len(originals),), math.inf)
        self.rate = originals.new_full((len(originals),), math.nan)
        self.convinced = torch.ones_like(targets, dtype=torch.bool)

    @property
    def change(self) -> Images:
        """What leads from the original to the image: zero where none was found."""
        return self.image - self.originals

    def judged(self, images: Images) -> tuple[Float[Tensor, "row class"], Bool[Tensor, " row"]]:
        """The logits of the images and which are adversarial; keeps those that are nearer than the ones known."""
        images = self.format(images.clamp(0, 1))
        logits = self.network(images)
        images, values = images.detach(), logits.detach()
        # NaN is in no range, and argmax would take it for the largest logit.
        sound = values.isfinite().all(1) & images.isfinite().flatten(1).all(1)
        adversarial: Tensor = sound & (values.argmax(1) == self.targets)
        rate = torch.full_like(self.rate, math.nan)
        if self.jury and bool(adversarial.any()):
            rate[adversarial] = self.jury.rate(images[adversarial], self.targets[adversarial])
            adversarial = adversarial & self.jury.convinced(rate)
        self.convinced = adversarial | torch.tensor(self.jury is None, device=rate.device)
        distance = self.norm.of(images - self.originals)
        nearer = adversarial & (distance < self.distance)
        self.image = torch.where(_wide(nearer), images, self.image)
        self.distance = torch.where(nearer, distance, self.distance)
        self.rate = torch.where(nearer, rate, self.rate)
        return logits, adversarial

    def margin(self, images: Images) -> Rows:
        """By how much the largest other logit exceeds the target's, negative where adversarial; keeps as `judged`.

        ``convinced`` says of which of these images a jury is.
        """
        if self.searched is self.network:
            logits, _ = self.judged(images)
        else:
            self.offer(images.detach())
            logits = self.searched(self.format(images.clamp(0, 1)))
        columns = self.targets.unsqueeze(1)
        others: Rows = logits.scatter(1, columns, -math.inf).amax(1)
        return others - logits.gather(1, columns).squeeze(1)

    def offer(self, images: Images) -> Bool[Tensor, " row"]:
        """Which images are adversarial, by a forward pass alone; keeps those that are nearer."""
        with torch.no_grad():
            return self.judged(images)[1]


def walk(nearest: Nearest, steps: int, scale: float) -> None:
    """Fast minimum norm (Pintor et al. 2021, algorithm 1) from the nearest image known, else from the original.

    A forward and a backward pass a step: down the gradient of the margin, then onto a ball that shrinks after success
    and grows after failure. Unlike the library's, a step is ``scale`` times the distance of its own row, not a number
    of pixel units; every image on the way is kept if nearer; and a first crossing overshoots by a fiftieth, as on an
    affine margin the step ends on the boundary itself.
    """
    radius, change = nearest.distance, nearest.change
    for step in range(steps):
        decay = (1 + math.cos(math.pi * step / steps)) / 2
        images = (nearest.originals + change).clamp(0, 1).requires_grad_()
        with torch.enable_grad():
            margin = nearest.margin(images)
            (gradient,) = torch.autograd.grad(margin.sum(), images)
        adversarial = (margin.detach() < 0) & nearest.convinced
        change, away = images.detach() - nearest.originals, margin.detach().abs()
        found, length = nearest.distance.isfinite(), _positive(Norm.L2.of(gradient))
        first = (nearest.norm.of(change) + away / _positive(nearest.norm.dual.of(gradient))) * 1.02
        rate = 0.001 + 0.099 * decay
        smaller = torch.minimum(radius, nearest.distance) * (1 - rate)
        radius = torch.where(adversarial, smaller, torch.where(found, radius * (1 + rate), first))
        reach = torch.where(found, Norm.L2.of(nearest.change), Norm.L2.of(change) + away / length)
        change = change - _wide(scale * (0.01 + 0.99 * decay) * reach / length) * gradient
        change = projected(change, nearest.norm, radius)


def further(nearest: Nearest, images: Images) -> None:
    """Beyond these images on the same ways, until something is found: at the boundary of the mean, half of a random
    network's draws are against.
    """
    for factor in OUTWARD:
        if bool(nearest.distance.isfinite().all()):
            break
        nearest.offer(nearest.originals + factor * (images - nearest.originals))


def shrink(nearest: Nearest) -> None:
    """Bisection towards the original: through its projections onto smaller balls, then along the segment.

    On a staircase, where the network changes its mind more than once, this finds some verified image, not the nearest.
    """
    change, distance = nearest.change, nearest.distance.nan_to_num(posinf=0)
    _bisect(nearest, lambda share: projected(change, nearest.norm, share * distance))
    change = nearest.change
    _bisect(nearest, lambda share: _wide(share) * change)


def settle(nearest: Nearest, transformation: Transformation) -> None:
    """Takes back what the transformation does not notice: the same t(x) from an image nearer to the original.

    Gradients say nothing of where on its step a pixel lies (`unnoticed`). And t(x) itself is offered, which for a codec
    keeps what it kept and drops the rest, as t(t(x)) is nearly t(x).
    """
    noticed = transformation(nearest.image)
    for staircase in (pixelwise(transformation), transformation):
        nearest.offer(unnoticed(nearest.originals, nearest.image, staircase))
    nearest.offer(noticed)


def unnoticed(originals: Images, images: Images, transformation: Transformation) -> Images:
    """Every pixel goes back as far as its t stays the same, by bisection with t alone: exact if t is pixelwise."""
    noticed, change = transformation(images), images - originals

    def noticeable(share: Tensor) -> Tensor:
        return transformation((originals + share * change).clamp(0, 1)) != noticed

    _, share = bisected(noticeable, torch.zeros_like(change), torch.ones_like(change), HALVINGS)
    return originals + share * change


def thin(nearest: Nearest, transformation: Transformation, rounds: int, generator: torch.Generator) -> None:
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
        nearest.offer(unnoticed(nearest.originals, candidates, staircase))
        share = torch.where(nearest.distance < before, share * 1.5, share * 0.9).clamp(0.001, 0.9)


def _bisect(nearest: Nearest, at: Callable[[Rows], Images]) -> None:
    none, all_of_it = torch.zeros_like(nearest.distance), torch.ones_like(nearest.distance)
    bisected(lambda share: ~nearest.offer(nearest.originals + at(share)), none, all_of_it, HALVINGS)


def _positive(values: Rows) -> Rows:
    return values.clamp(min=1e-12)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
