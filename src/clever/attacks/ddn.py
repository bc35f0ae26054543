"""DDN: decoupled direction and norm (Rony et al. 2019, arXiv 1811.09600), for L2."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from clever._internal.broadcast import per_row
from clever._internal.types import Images
from clever.norms import Norm

FIRST_STEP, LAST_STEP = 1.0, 0.01
"""Step sizes of the cosine schedule, in pixel units (their section 4)."""


def ddn(
    network: Callable[[Images], Float[Tensor, "row class"]],
    images: Images,
    targets: Int[Tensor, " row"],
    *,
    steps: int,
    generator: torch.Generator,
    radius: float = 1.0,
    gamma: float = 0.1,
) -> Images:
    """The nearest image encountered that ``network`` classifies as the target class; the original where there was none.

    Algorithm 1, targeted: a normalised gradient step down the cross-entropy of the target class, then a projection onto
    a sphere around the original, then onto [0,1]. The sphere's radius shrinks by the factor 1 - ``gamma`` after success
    and grows by 1 + ``gamma`` after failure. ``radius``: of the first sphere, in [0,1]-pixel units. Where the gradient
    is zero the direction is drawn from ``generator``, which must be on the images' device.
    """
    change, best = torch.zeros_like(images), torch.zeros_like(images)
    farthest = Norm.L2.of(torch.maximum(images, 1 - images))
    least, sphere = farthest, torch.full_like(farthest, radius)
    for step in range(steps):
        step_size = LAST_STEP + (FIRST_STEP - LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2
        candidate = (images + change).requires_grad_()
        with torch.enable_grad():
            logits = network(candidate)
            (gradient,) = torch.autograd.grad(cross_entropy(logits, targets, reduction="sum"), candidate)
        adversarial, size = logits.argmax(1) == targets, Norm.L2.of(change)
        closer = adversarial & (size <= least)
        best, least = torch.where(per_row(closer, best), change, best), torch.where(closer, size, least)
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        direction = torch.where(per_row(Norm.L2.of(gradient) == 0, noise), noise, -gradient)
        change = change + step_size * direction / per_row(Norm.L2.of(direction).clamp(min=1e-12), direction)
        sphere = torch.minimum(sphere * torch.where(adversarial, 1 - gamma, 1 + gamma), farthest)
        change = change * per_row(sphere / Norm.L2.of(change).clamp(min=1e-12), change)
        change = (images + change).clamp(0, 1) - images
    return images + best
