"""DDN: decoupled direction and norm (Rony et al. 2019, arXiv 1811.09600), for L2."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

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
    """The nearest image met that ``network`` predicts the target class for, the original where there was none.

    Algorithm 1 for given targets: a step of normalized gradient down the cross-entropy of the target class, then a
    projection onto the sphere around the original whose radius shrinks by the factor 1 - ``gamma`` after success and
    grows by 1 + ``gamma`` after failure, then onto [0,1]. ``radius``: of the first sphere, in [0,1]-pixel units. Where
    a gradient is zero the direction is a random one, of ``generator``, which is on the images' device.
    """
    change, best = torch.zeros_like(images), torch.zeros_like(images)
    farthest = Norm.L2.of(torch.maximum(images, 1 - images))
    least, sphere = farthest, torch.full_like(farthest, radius)
    for step in range(steps):
        step_size = LAST_STEP + (FIRST_STEP - LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2
        at = (images + change).requires_grad_()
        with torch.enable_grad():
            logits = network(at)
            (gradient,) = torch.autograd.grad(cross_entropy(logits, targets, reduction="sum"), at)
        adversarial, size = logits.argmax(1) == targets, Norm.L2.of(change)
        closer = adversarial & (size <= least)
        best, least = torch.where(_wide(closer), change, best), torch.where(closer, size, least)
        anywhere = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        direction = torch.where(_wide(Norm.L2.of(gradient) == 0), anywhere, -gradient)
        change = change + step_size * direction / _wide(Norm.L2.of(direction).clamp(min=1e-12))
        sphere = torch.minimum(sphere * torch.where(adversarial, 1 - gamma, 1 + gamma), farthest)
        change = change * _wide(sphere / Norm.L2.of(change).clamp(min=1e-12))
        change = (images + change).clamp(0, 1) - images
    return images + best


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
