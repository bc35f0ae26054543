"""The L2 attack of Carlini and Wagner (2017, arXiv 1608.04644, section VI.A)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clever._internal.types import Images
from clever.attacks.target_margin import target_margin
from clever.norms import Norm

Rows = Float[Tensor, " row"]
Network = Callable[[Images], Float[Tensor, "row class"]]

FIRST_WEIGHT, LARGEST_WEIGHT = 1e-3, 1e10
"""Of the margin (their c): the first one tried, and a limit."""
INSIDE = 0.999999
"""What pixels are scaled by around 1/2, so that those at 0 and 1 have a finite arctanh."""
STEP_SIZE = 0.01
CHECKS, PROGRESS = 10, 0.9999
"""How often a minimization looks whether it still makes progress: by the factor ``PROGRESS`` at least."""


def carlini_wagner(
    network: Network,
    images: Images,
    targets: Int[Tensor, " row"],
    *,
    weights: int,
    steps: int,
) -> Images:
    """The nearest image met that ``network`` predicts the target class for, the original where there was none.

    Minimizes ||x' - x||^2 + c max(f(x'), 0) with x' = (tanh(w) + 1) / 2 over w, f being `target_margin`, by at most
    ``steps`` of Adam, for each of ``weights`` values of c: tenfold until an adversarial image is found, then by
    bisection towards the smallest c that finds one. A minimization ends when no row makes progress.
    """
    weight = images.new_full((len(images),), FIRST_WEIGHT)
    low, high = torch.zeros_like(weight), torch.full_like(weight, math.inf)
    best, least = images, torch.full_like(weight, math.inf)
    for turn in range(weights):
        if turn == weights - 1 and weights >= CHECKS:
            weight = high.clamp(max=LARGEST_WEIGHT)  # the last one found something, if any did
        found, image, distance = _minimize(network, images, targets, weight, steps)
        closer = distance < least
        best, least = torch.where(closer.view(-1, 1, 1, 1), image, best), torch.where(closer, distance, least)
        low, high = torch.where(found, low, weight), torch.where(found, weight, high)
        weight = torch.where(high.isinf(), weight * 10, (low + high) / 2)
    return best


def _minimize(
    network: Network, images: Images, targets: Tensor, weight: Rows, steps: int
) -> tuple[Bool[Tensor, " row"], Images, Rows]:
    """For one weight a row: whether an adversarial image was met, the nearest of them and its distance, else inf."""
    start = ((2 * images - 1) * INSIDE).arctanh()
    origin = start.tanh() / 2 + 0.5
    best, least = images, torch.full_like(weight, math.inf)
    moved, before = _Adam(start), torch.full_like(weight, math.inf)
    for step in range(steps):
        w = moved.point.requires_grad_()
        with torch.enable_grad():
            at = w.tanh() / 2 + 0.5
            margin = target_margin(network(at), targets)
            loss = (at - origin).flatten(1).square().sum(1) + weight * margin.clamp(min=0)
            (gradient,) = torch.autograd.grad(loss.sum(), w)
        at, loss = at.detach(), loss.detach()
        moved.step(gradient)
        distance = Norm.L2.of(at - images)
        closer = (margin.detach() < 0) & (distance < least)
        best, least = torch.where(closer.view(-1, 1, 1, 1), at, best), torch.where(closer, distance, least)
        if step % math.ceil(steps / CHECKS) == 0:
            if not bool((loss <= PROGRESS * before).any()):
                break
            before = loss
    return least.isfinite(), best, least


class _Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) with its usual constants; ``point`` is where it has come to."""

    def __init__(self, start: Tensor) -> None:
        self.point, self.turn = start, 0
        self.mean, self.square = torch.zeros_like(start), torch.zeros_like(start)

    def step(self, gradient: Tensor) -> None:
        self.turn += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.turn), self.square / (1 - 0.999**self.turn)
        self.point = self.point.detach() - STEP_SIZE * mean / (square.sqrt() + 1e-8)
