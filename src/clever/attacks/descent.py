"""The nearest image across a decision boundary, by linearisation: DeepFool, for norms and for the gauge of a staircase.

Behind a staircase the gradient is that of the network at t(x) and ignores how far a pixel must move to change t(x): a
pixel close to a step gains a whole level at almost no cost. The gauge's minimiser (`clever.bounds.gauge.order`) takes
these costs into account.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.broadcast import per_row
from clever._internal.types import Images, Transformation
from clever.attacks.hyperplane import nearest_beyond
from clever.bounds.gauge.order import minimiser
from clever.defenses.capabilities import method_of
from clever.defenses.chain import Chain, Identity, parts
from clever.norms import Norm

Margin = Callable[[Images], Float[Tensor, " row"]]
"""The function to make negative in each row; differentiable, through BPDA if there is a transformation."""

OVERSHOOT, MOST, LEAST = 0.05, 2.0, 1e-3
"""Overshoot of the linearised boundary, as a share of the initial margin: initial value, maximum and minimum."""


@dataclass(frozen=True)
class Nearest:
    """The nearest ``image`` found for each row and its ``distance``; the original and infinity where none was found."""

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
    """The nearest images with a negative margin found in ``steps`` linearisations, one gradient each; deterministic.

    Let p be the pixelwise staircase that the ``defense`` begins with (`pixelwise`; the identity if there is none). A
    step linearises at the current image x: g(x') = g(x) + <G, p(x') - p(x)>. The next image is the one nearest to x0
    where a weighted mean of all linearisations so far is negative, found by the gauge's knapsack behind a staircase and
    by projection onto the hyperplane elsewhere. Each step multiplies the weights of earlier linearisations by
    ``memory``; without this averaging the images tend to oscillate. The overshoot halves after success and grows by
    half after failure.

    Guarantee: an image with a finite distance lies in [0,1], and its computed margin is negative. `InputError` for a
    ``norm`` that is not "L1", "L2" or "Linf".

    ``margin`` maps images (row, channel, height, width) to (row,). The result has the fields ``image``, shaped like
    ``images``, and ``distance``, (row,), in [0,1]-pixel units.

        def margin(x):
            return network(x)[:, predicted] - network(x)[:, target]

        clever.descend(margin, images, "L2", steps=20).distance
    """
    norm = Norm.parse(norm)
    staircase = pixelwise(defense)
    start, best = staircase(images), Nearest(images, images.new_full((len(images),), torch.inf))
    x, overshoot, initial_margin = images, images.new_full((len(images),), OVERSHOOT), images.new_zeros(len(images))
    slope, offset = torch.zeros_like(images), torch.zeros_like(initial_margin)
    for step in range(steps):
        point = x.detach().requires_grad_()
        with torch.enable_grad():
            value = margin(point)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        value, change = value.detach(), staircase(x) - start
        best = _nearer(best, x, norm.of(x - images), value < 0)
        overshoot = torch.where(value < 0, overshoot / 2, overshoot * 1.5).clamp(LEAST, MOST)
        new = 1 - memory if step else 1.0
        slope, offset = slope.lerp(gradient, new), offset.lerp(value - (gradient * change).flatten(1).sum(1), new)
        initial_margin = initial_margin if step else value.abs()
        needed = (offset.clamp(min=0) + overshoot * initial_margin).clamp(min=torch.finfo(offset.dtype).tiny)
        if isinstance(staircase, Identity):
            x = nearest_beyond(images, slope, needed, norm)
        else:
            x = minimiser(staircase, images, slope, needed, norm)
    return best


def pixelwise(defense: Transformation) -> Transformation:
    """The pixelwise staircase p that a defense t begins with, such that t(x) depends on p(x) alone.

    For JPEG it is rounding to 8 bits. p maps images in [0,1] of any shape, pixel by pixel. It is the identity where t
    does not begin with a staircase whose ``steps`` are known.
    """
    staircases: list[Transformation] = []
    for part in parts(defense):
        if first_staircase := method_of(part, "pixelwise"):
            staircases.append(first_staircase())
        elif method_of(part, "steps"):
            staircases.append(part)
            continue
        break
    return Chain(staircases) if staircases else Identity()


def has_pixelwise_steps(defense: Transformation) -> bool:
    """Whether the defense begins with a pixelwise staircase whose steps are known."""
    return not isinstance(pixelwise(defense), Identity)


def _nearer(best: Nearest, images: Images, distance: Float[Tensor, " row"], crossed: Tensor) -> Nearest:
    better = crossed & (distance < best.distance)
    image = torch.where(per_row(better, images), images, best.image)
    return Nearest(image, torch.where(better, distance, best.distance))
