"""FMN: fast minimum norm (Pintor et al. 2021, arXiv 2102.12827), from the original and from an adversarial image."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clever._internal.broadcast import per_row
from clever._internal.types import Images
from clever.attacks.projection import project
from clever.attacks.refine import BestSoFar
from clever.attacks.target_margin import target_margin
from clever.norms import Norm

Rows = Float[Tensor, " row"]

FIRST_GAMMA, LAST_GAMMA = 0.1, 0.001
"""The share by which the ball shrinks after success and grows after failure, in the first and the last step."""
LAST_STEP = 0.01
"""The last step size, as a share of the first."""


def fast_minimum_norm(
    network: Callable[[Images], Float[Tensor, "row class"]],
    images: Images,
    targets: Int[Tensor, " row"],
    norm: Norm,
    *,
    steps: int,
    step_size: float = 1.0,
) -> Images:
    """The nearest image encountered that ``network`` classifies as the target class; the original where there was none.

    Algorithm 1 from the original image: a normalised gradient step down `target_margin`, then projections onto a ball
    around the original and onto [0,1]. The radius shrinks after success and grows after failure; before the first
    success it is the distance to the linearised boundary (equation 5). ``step_size``: of the first step, in [0,1]-pixel
    units and L2. Where the margin is affine a step ends on the boundary itself, and rounding can prevent success.
    """
    change, best = torch.zeros_like(images), torch.zeros_like(images)
    farthest = norm.of(torch.maximum(images, 1 - images))
    least, radius = farthest, torch.full_like(farthest, math.inf)
    found = torch.zeros_like(farthest, dtype=torch.bool)
    for step in range(steps):
        gamma, share = _schedule(step, steps)
        margin, gradient = _gradient(lambda points: target_margin(network(points), targets), images + change)
        adversarial, size = margin < 0, norm.of(change)
        found, closer = found | adversarial, adversarial & (size <= least)
        best, least = torch.where(per_row(closer, best), change, best), torch.where(closer, size, least)
        boundary = size + margin.abs() / _positive(norm.dual.of(gradient))
        smaller = torch.minimum(radius * (1 - gamma), norm.of(best))
        radius = torch.where(adversarial, smaller, torch.where(found, radius * (1 + gamma), boundary))
        radius = torch.minimum(radius, farthest)
        change = change - step_size * share * gradient / per_row(_positive(Norm.L2.of(gradient)), gradient)
        change = (images + project(change, norm, radius)).clamp(0, 1) - images
    return images + best


def fast_minimum_norm_from(nearest: BestSoFar, steps: int, scale: float) -> None:
    """FMN from the nearest adversarial image so far, or from the original if there is none.

    Each step takes a forward and a backward pass. Unlike in `fast_minimum_norm`, the step size is ``scale`` times the
    row's distance, every nearer image on the way is kept, and until the first success the radius exceeds the distance
    to the linearised boundary by 2 %, because on an affine margin the step ends on the boundary itself.
    """
    radius, change = nearest.distance, nearest.change
    for step in range(steps):
        gamma, share = _schedule(step, steps)
        images = (nearest.originals + change).clamp(0, 1)
        margin, gradient = _gradient(nearest.margin, images)
        adversarial = (margin < 0) & nearest.accepted
        change, gap = images - nearest.originals, margin.abs()
        found, length = nearest.distance.isfinite(), _positive(Norm.L2.of(gradient))
        boundary = (nearest.norm.of(change) + gap / _positive(nearest.norm.dual.of(gradient))) * 1.02
        smaller = torch.minimum(radius, nearest.distance) * (1 - gamma)
        radius = torch.where(adversarial, smaller, torch.where(found, radius * (1 + gamma), boundary))
        distance = torch.where(found, Norm.L2.of(nearest.change), Norm.L2.of(change) + gap / length)
        change = change - per_row(scale * share * distance / length, gradient) * gradient
        change = project(change, nearest.norm, radius)


def _schedule(step: int, steps: int) -> tuple[float, float]:
    """Gamma and the share of the first step size, by cosine annealing (Pintor et al., section 3)."""
    decay = (1 + math.cos(math.pi * step / steps)) / 2
    return LAST_GAMMA + (FIRST_GAMMA - LAST_GAMMA) * decay, LAST_STEP + (1 - LAST_STEP) * decay


def _gradient(margin: Callable[[Images], Rows], images: Images) -> tuple[Rows, Images]:
    points = images.detach().requires_grad_()
    with torch.enable_grad():
        value = margin(points)
        (gradient,) = torch.autograd.grad(value.sum(), points)
    return value.detach(), gradient


def _positive(values: Rows) -> Rows:
    return values.clamp(min=1e-12)
