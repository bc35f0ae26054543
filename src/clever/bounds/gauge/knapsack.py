"""The knapsack of the gauge: a lower bound on the least cost at which jumps gain a given margin, and such jumps.

Each number i of a row takes at most one jump k, with gain w_i gain_i(k), w_i >= 0 its weight, and cost distance_i(k).
The problem is to minimise the sum of distance^p (p = 1, 2) or the largest distance (p = inf) such that the gains sum to
at least g.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clever._internal.bisection import bisect
from clever.bounds.gauge.jumps import Jumps, Numbers
from clever.norms import Norm

HALVINGS = 18
"""Bisection steps for the multiplier's logarithm, which is then exact to 2^-12; the loss in the bound is negligible."""
DOUBLINGS = 32
"""The interval for the multiplier: this many doublings and halvings of the first guess."""


@dataclass(frozen=True)
class Solution:
    """The solution for each row.

    ``distance``: a lower bound on the smallest ||x' - x0||_p, (row,); infinite where even all jumps gain less than g.
    ``jumps``: one jump for each number, with gains that reach g; the furthest jumps where that is impossible.
    """

    distance: Float[Tensor, " row"]
    jumps: Tensor


def solve(jumps: Jumps, weights: Numbers, margin: Float[Tensor, " row"], norm: Norm) -> Solution:
    """Solve each row's knapsack, by Lagrange duality.

    L1 and L2: for any multiplier mu >= 0, q(mu) = mu g - sum_i max_k (mu w_i gain_i(k) - distance_i(k)^p) is a lower
    bound on the least cost. Its maximum is the value of the linear relaxation, which differs from the optimum by at
    most one number's jump. q is concave; mu is found by bisection of its derivative, g minus the gains that are best at
    mu. Linf: bisection of the radius within which all gains reach g; the lower end is the bound.
    """
    goal = margin.unsqueeze(1)

    def falls_short(k: Tensor) -> Bool[Tensor, "row 1"]:
        return (weights * jumps.gain(k)).sum(1, keepdim=True) < goal

    impossible = falls_short(jumps.most()).squeeze(1)
    if norm is Norm.LINF:
        low, high = torch.zeros_like(goal), torch.full_like(goal, float(jumps.distance(jumps.most()).max()))
        low, high = bisect(lambda radius: falls_short(jumps.within(radius)), low, high, HALVINGS + 6)
        distance, chosen = low.squeeze(1), jumps.within(high)
    else:
        distance, chosen = _relaxed(jumps, weights, goal, int(norm.p), falls_short)
    chosen = torch.where(impossible.unsqueeze(1), jumps.most(), chosen)
    return Solution(torch.where(impossible, torch.inf, distance), chosen)


def _relaxed(
    jumps: Jumps, weights: Numbers, goal: Tensor, p: int, falls_short: Callable[[Tensor], Tensor]
) -> tuple[Float[Tensor, " row"], Tensor]:
    # Approximately the multiplier for t = identity.
    norm = torch.linalg.vector_norm(weights, dim=1, keepdim=True).clamp(min=1e-30)
    guess = (2 * goal / norm.square() if p == 2 else 1 / weights.amax(1, keepdim=True)).clamp(1e-30, 1e30).log2()

    def cheap(price: Tensor) -> Tensor:
        return falls_short(jumps.best(price.exp2() * weights, p))

    low, high = bisect(cheap, guess - DOUBLINGS, guess + DOUBLINGS, HALVINGS)
    bound = torch.maximum(*(_dual(jumps, weights, goal, end.exp2(), p) for end in (low, high)))
    short, enough = (jumps.best(end.exp2() * weights, p) for end in (low, high))
    chosen = _fewest(short, enough, falls_short)
    return bound.clamp(min=0).pow(1 / p), chosen


def _fewest(short: Tensor, enough: Tensor, falls_short: Callable[[Tensor], Tensor]) -> Tensor:
    """The fewest jumps that reach the goal, between ``short``, which falls short, and ``enough``, which does not."""
    low, high = (torch.full_like(falls_short(short), share, dtype=torch.float32) for share in (0, 1))

    def between(share: Tensor) -> Tensor:
        return short + ((enough - short) * share).ceil().to(short)

    _, high = bisect(lambda share: falls_short(between(share)), low, high, 9)
    return between(high)


def _dual(jumps: Jumps, weights: Numbers, goal: Tensor, price: Tensor, p: int) -> Float[Tensor, " row"]:
    k = jumps.best(price * weights, p)
    saved = price * weights * jumps.gain(k) - jumps.distance(k) ** p
    return (price * goal - saved.sum(1, keepdim=True)).squeeze(1)
