"""The nearest image across a boundary, by linearisation: DeepFool for norms, and for the gauge of a staircase.

Behind a staircase a gradient says how the classifier sees images, not how far they have to move: a pixel next to a step
gains a whole level for next to nothing. The minimiser of the gauge (`clever.bounds.gauge.order.minimiser`) knows, and
looks where the gradients of BPDA do not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.types import Images, Transformation
from clever.attacks.hyperplane import nearest_beyond
from clever.bounds.gauge.order import minimiser
from clever.defenses.capabilities import method_of
from clever.defenses.chain import Chain, Identity, parts
from clever.norms import Norm

Margin = Callable[[Images], Float[Tensor, " row"]]
"""What is to become negative, row by row; differentiable, by BPDA where there is a transformation."""

OVERSHOOT, MOST, LEAST = 0.05, 2.0, 1e-3
"""Beyond the linearised boundary, as a share of the margin at the start: at first, and its limits."""


@dataclass(frozen=True)
class Nearest:
    """``image``: for each row the nearest one found, the original where none was; ``distance``: then infinite."""

    image: Images
    distance: Float[Tensor, " row"]


def descend(
    margin: Margin,
    images: Images,
    norm: str,
    *,
    steps: int,
    defense: Transformation = Identity(),  # noqa: B008 (frozen)
    memory: float = 0.9,
) -> Nearest:
    """The nearest images that ``steps`` linearisations of the margin lead to, one gradient each; deterministic.

    With p the pixelwise staircase that the ``defense`` begins with (`pixelwise`; none: the identity) a step linearises
    at the current image x: g(x') = g(x) + <G, p(x') - p(x)>. The next image is the nearest to x0 at which the mean of
    the linearisations so far falls below zero: by the gauge's knapsack behind a staircase, on the hyperplane else. In
    the mean the past counts ``memory`` times as much with each step: of a single linearisation the next one often knows
    nothing, and the images would go back and forth. An overshoot halves after success and grows by half after failure.

    Guarantee: an image with a finite distance lies in [0,1], its margin was computed, and is negative. `InputError` for
    a ``norm`` that is not "L1", "L2" or "Linf".
    """
    norm = Norm.parse(norm)
    staircase = pixelwise(defense)
    start, best = staircase(images), Nearest(images, images.new_full((len(images),), torch.inf))
    x, overshoot, first = images, images.new_full((len(images),), OVERSHOOT), images.new_zeros(len(images))
    slope, level = torch.zeros_like(images), torch.zeros_like(first)
    for step in range(steps):
        at = x.detach().requires_grad_()
        with torch.enable_grad():
            value = margin(at)
            (gradient,) = torch.autograd.grad(value.sum(), at)
        value, gone = value.detach(), staircase(x) - start
        best = _nearer(best, x, norm.of(x - images), value < 0)
        overshoot = torch.where(value < 0, overshoot / 2, overshoot * 1.5).clamp(LEAST, MOST)
        new = 1 - memory if step else 1.0
        slope, level = slope.lerp(gradient, new), level.lerp(value - (gradient * gone).flatten(1).sum(1), new)
        first = first if step else value.abs()
        needed = (level.clamp(min=0) + overshoot * first).clamp(min=torch.finfo(level.dtype).tiny)
        if isinstance(staircase, Identity):
            x = nearest_beyond(images, slope, needed, norm)
        else:
            x = minimiser(staircase, images, slope, needed, norm)
    return best


def pixelwise(defense: Transformation) -> Transformation:
    """The pixelwise staircase p that a defense t begins with: t(x) depends on p(x) alone. Of JPEG, rounding to 8 bits.

    It maps images in [0,1] of any shape, pixel by pixel. The identity where t begins with none whose ``steps`` are
    known; nothing is refused.
    """
    begun: list[Transformation] = []
    for part in parts(defense):
        if begins := method_of(part, "pixelwise"):
            begun.append(begins())
        elif method_of(part, "steps"):
            begun.append(part)
            continue
        break
    return Chain(begun) if begun else Identity()


def _nearer(best: Nearest, images: Images, distance: Float[Tensor, " row"], crossed: Tensor) -> Nearest:
    better = crossed & (distance < best.distance)
    image = torch.where(better.view(-1, 1, 1, 1), images, best.image)
    return Nearest(image, torch.where(better, distance, best.distance))
