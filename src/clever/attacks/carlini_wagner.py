"""The L2 attack of Carlini and Wagner (2017, arXiv 1608.04644, section VI.A)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clever._internal.broadcast import per_row
from clever._internal.types import Images
from clever.attacks.target_margin import target_margin
from clever.norms import Norm

Rows = Float[Tensor, " row"]
Network = Callable[[Images], Float[Tensor, "row class"]]

FIRST_WEIGHT, LARGEST_WEIGHT = 1e-3, 1e10
"""The weight of the margin (their c): first value and upper limit."""
INSIDE = 0.999999
"""Pixels are scaled by this factor around 1/2, so that 0 and 1 have a finite arctanh."""
STEP_SIZE = 0.01
"""The step size of Adam."""
CHECKS, PROGRESS = 10, 0.9999
"""The number of progress checks in a minimisation, and the factor by which the loss must have fallen at each."""


def carlini_wagner(
    network: Network,
    images: Images,
    targets: Int[Tensor, " row"],
    *,
    weights: int,
    steps: int,
) -> Images:
    """The nearest image encountered that ``network`` classifies as the target class; the original where there was none.

    Minimises ||x' - x||^2 + c max(f(x'), 0) over w with x' = (tanh(w) + 1) / 2 and f = `target_margin`, in at most
    ``steps`` steps of Adam, for each of ``weights`` values of c. c grows tenfold until an adversarial image is found;
    bisection then looks for the smallest c that finds one. A minimisation ends when no row makes progress.
    """
    weight = images.new_full((len(images),), FIRST_WEIGHT)
    low, high = torch.zeros_like(weight), torch.full_like(weight, math.inf)
    best, least = images, torch.full_like(weight, math.inf)
    for attempt in range(weights):
        if attempt == weights - 1 and weights >= CHECKS:
            weight = high.clamp(max=LARGEST_WEIGHT)  # the smallest weight that succeeded, if any did
        found, image, distance = _minimize(network, images, targets, weight, steps)
        closer = distance < least
        best, least = torch.where(per_row(closer, best), image, best), torch.where(closer, distance, least)
        low, high = torch.where(found, low, weight), torch.where(found, weight, high)
        weight = torch.where(high.isinf(), weight * 10, (low + high) / 2)
    return best


def _minimize(
    network: Network, images: Images, targets: Tensor, weight: Rows, steps: int
) -> tuple[Bool[Tensor, " row"], Images, Rows]:
    """For one weight per row: whether an adversarial image was found, the nearest, and its distance (else infinity)."""
    start = ((2 * images - 1) * INSIDE).arctanh()
    origin = start.tanh() / 2 + 0.5
    best, least = images, torch.full_like(weight, math.inf)
    adam, last_loss = _Adam(start), torch.full_like(weight, math.inf)
    for step in range(steps):
        w = adam.point.requires_grad_()
        with torch.enable_grad():
            candidate = w.tanh() / 2 + 0.5
            margin = target_margin(network(candidate), targets)
            loss = (candidate - origin).flatten(1).square().sum(1) + weight * margin.clamp(min=0)
            (gradient,) = torch.autograd.grad(loss.sum(), w)
        candidate, loss = candidate.detach(), loss.detach()
        adam.step(gradient)
        distance = Norm.L2.of(candidate - images)
        closer = (margin.detach() < 0) & (distance < least)
        best, least = torch.where(per_row(closer, best), candidate, best), torch.where(closer, distance, least)
        if step % math.ceil(steps / CHECKS) == 0:
            if not bool((loss <= PROGRESS * last_loss).any()):
                break
            last_loss = loss
    return least.isfinite(), best, least


class _Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) with its usual constants; ``point`` is the current iterate."""

    def __init__(self, start: Tensor) -> None:
        self.point, self.count = start, 0
        self.mean, self.square = torch.zeros_like(start), torch.zeros_like(start)

    def step(self, gradient: Tensor) -> None:
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.count), self.square / (1 - 0.999**self.count)
        self.point = self.point.detach() - STEP_SIZE * mean / (square.sqrt() + 1e-8)
