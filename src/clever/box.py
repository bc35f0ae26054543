"""Points uniform on the images of a ball: its intersection with the box [0,1]^d, in any dimension."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from clever import unit_ball
from clever.errors import InputError
from clever.norms import Norm

BEYOND = 2.0**-14
"""A pixel counts as free where the box cuts off no more than this share of what would be proposed on either side."""
PROPOSALS = 10_000_000
"""Without a point among so many there is none to be had in reasonable time."""


def uniform(
    norm: Norm, below: Float[Tensor, " d"], above: Float[Tensor, " d"]
) -> Callable[[int, Generator], Float[Tensor, "count d"]]:
    """Points t uniform on {||t||_p <= 1, -below <= t <= above}: offsets in units of R, ``below`` = x0 / R and so on.

    Exact, up to rounding, for every image and radius. Linf: a product of intervals. L1 and L2: pixels are proposed
    independently with density exp(-|t/s|^p) cut at the walls, then a point is accepted with the probability that makes
    the law uniform. Pixels that lie on a wall or have room enough (`BEYOND`) need no proposal: given the others they
    are uniform in a ball of what is left of ||t||_p^p, folded at the wall (reflection, exact there by symmetry), and a
    point is drawn again where one of them has left the box after all. About sqrt(free / d) of the proposals are
    accepted: all for a black image, none of whose pixels is in between; a hundredth in 3,072 dimensions with none free.
    """
    if norm is Norm.LINF:
        low, high = -below.clamp(max=1), above.clamp(max=1)

        def cube(count: int, generator: Generator) -> Tensor:
            unit = torch.rand(count, len(low), generator=generator, dtype=low.dtype, device=generator.device)
            return unit.mul_(high - low).add_(low)

        return cube
    return _Cut(norm, below, above).points


class _Cut:
    """An L1 or L2 ball of radius 1 cut by walls."""

    def __init__(self, norm: Norm, below: Tensor, above: Tensor) -> None:
        self.norm, self.p, self.below, self.above = norm, norm.p, below, above
        self.scale = _scale(self.p, below.double(), above.double())
        low, high = _share(self.p, below.double() / self.scale), _share(self.p, above.double() / self.scale)
        roomy = [(share > 1 - BEYOND) | (share == 0) for share in (low, high)]
        free = roomy[0] & roomy[1] & ((low > 0) | (high > 0))
        self.free, self.bound = free.nonzero().flatten(), (~free).nonzero().flatten()
        self.low, self.high = (-low[self.bound]).to(below), high[self.bound].to(below)
        # the sum of |t|^p over the bound pixels at which the probability of acceptance is 1
        self.peak = max(0.0, 1 - len(self.free) * self.scale**self.p / self.p)

    def points(self, count: int, generator: Generator) -> Tensor:
        """Exactly ``count`` of them."""
        accepted: list[Tensor] = []
        missing, proposed = count, 0
        while missing:
            if proposed > PROPOSALS:
                raise InputError(
                    f"no point of the {self.norm} ball within the box in {proposed} proposals: law=uniform with "
                    "clip=true draws others"
                )
            more = self._accepted(count, generator)
            proposed += count
            accepted.append(more[:missing])
            missing -= len(accepted[-1])
        return torch.cat(accepted)

    def _accepted(self, count: int, generator: Generator) -> Tensor:
        def rand(*size: int) -> Tensor:
            return torch.rand(size, generator=generator, dtype=self.below.dtype, device=generator.device)

        bound = self.scale * _inverse(self.p, rand(count, len(self.bound)).mul_(self.high - self.low).add_(self.low))
        spent = bound.abs().pow_(self.p).sum(1, dtype=torch.float64)
        here = rand(count).log() < self._log_odds(spent) - self._log_odds(spent.new_tensor(self.peak))
        points = bound.new_empty(count, len(self.below))
        points[:, self.bound] = bound
        if len(self.free):
            unit = unit_ball.uniform(self.norm, count, len(self.free), bound.dtype, generator)
            free = unit.mul_((1 - spent).clamp_(min=0).pow_(1 / self.p).to(bound).unsqueeze(1))
            free = torch.where(self.below[self.free] == 0, free.abs(), free)
            points[:, self.free] = torch.where(self.above[self.free] == 0, -free.abs(), free)
            here &= ((points >= -self.below) & (points <= self.above)).all(1)
        return points[here]

    def _log_odds(self, spent: Tensor) -> Tensor:
        """Log of the wanted density over the proposed one: the volume left to the free pixels times exp(spent/s^p)."""
        volume = torch.xlogy(spent.new_tensor(len(self.free) / self.p), (1 - spent).clamp(min=0))
        return torch.where(spent <= 1, volume + spent / self.scale**self.p, -math.inf)


def _scale(p: float, below: Tensor, above: Tensor) -> float:
    """The s at which ||t||_p^p is 1 in the mean, what the ball's points have in high dimension; at most 10."""
    low, high = math.log(1e-6), math.log(10)
    for _ in range(40):
        middle = (low + high) / 2
        s = math.exp(middle)
        if s**p * float(_mean(p, below / s, above / s).sum()) < 1:
            low = middle
        else:
            high = middle
    return math.exp(high)


def _mean(p: float, a: Tensor, b: Tensor) -> Tensor:
    """The mean of |t|^p under the density exp(-|t|^p) on [-a, b]."""
    if p == 1:
        mean = 1 - (a * (-a).exp() + b * (-b).exp()) / (-(-a).expm1() - (-b).expm1()).clamp(min=1e-300)
    else:
        mass = math.sqrt(math.pi) * (torch.erf(a) + torch.erf(b))
        mean = 0.5 - (a * (-a.square()).exp() + b * (-b.square()).exp()) / mass.clamp(min=1e-300)
    return mean.clamp(min=0)


def _share(p: float, t: Tensor) -> Tensor:
    """The share of the density exp(-|t|^p), t >= 0, that lies below t."""
    return torch.erf(t) if p == 2 else -(-t).expm1()


def _inverse(p: float, share: Tensor) -> Tensor:
    """The t of a signed share."""
    if p == 2:
        return torch.erfinv(share)
    return -share.abs().clamp(max=1 - torch.finfo(share.dtype).eps).neg_().log1p_().copysign(-share)
