"""Points in L1, L2 and Linf balls, from explicit generators."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from clever.choice import Choice
from clever.errors import InputError
from clever.norms import Norm

DRAW = {"cpu": (32, 2**17), "cuda": (1024, 2**22)}
"""The most points, and numbers, of one call of a generator: what a processor's cache holds, and what keeps a GPU
busy. Fixed, so that the numbers do not depend on the hardware's batch."""


class Law(Choice):
    """How points are spread over a ball of radius R.

    ``uniform``: uniform in volume, as the papers say. ``reference_code``: the law of the authors' programs (L2: a point
    uniform in the unit ball times a radius uniform in [0, R]; L1: a point uniform on the unit sphere times a radius
    uniform in [0, R]; Linf: uniform in the cube of half-width R).
    """

    UNIFORM = "uniform"
    REFERENCE_CODE = "reference_code"


@dataclass(frozen=True)
class Ball:
    """The set of x with ||x - x0||_p <= radius, radius in [0,1]-pixel units, and the law of points in it."""

    norm: Norm
    radius: float
    law: Law = Law.UNIFORM

    def __post_init__(self) -> None:
        if not 0 < self.radius < float("inf"):
            raise InputError(f"the radius of the {self.norm} ball is {self.radius}: it must be positive and finite")

    def holds(self, norm: Norm, dimension: int) -> float:
        """The radius of the largest ball of another norm inside this one: R / dimension^max(0, 1/p - 1/p')."""
        return float(self.radius / dimension ** max(0.0, 1 / self.norm.p - 1 / norm.p))


def offsets(ball: Ball, count: int, like: Float[Tensor, "..."], generator: Generator) -> Float[Tensor, "count ..."]:
    """``count`` independent points x - x0 of the ball, each shaped as ``like``, on the generator's device.

    Guarantee: every point lies in the ball up to rounding, and for `Law.UNIFORM` its norm over R is the (1/d)-th power
    of a uniform variable, d = ``like.numel()``.

    Uniform points in an Lp ball are g / (||g||_p^p + e)^(1/p) with g of density proportional to exp(-|t|^p) in each
    coordinate and e exponential (Barthe, Guedon, Mendelson and Naor, Annals of Probability 33, 2005, theorem 1).
    """
    if like.dtype not in (torch.float32, torch.float64):
        raise InputError(f"points of {like.dtype}: they must be float32 or float64, the sums of others overflow")
    shape = (count, like.numel())

    def rand(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, dtype=like.dtype, device=generator.device)

    def exponential() -> Tensor:
        return rand(count).neg_().log1p_().neg_()

    if ball.norm is Norm.LINF:
        unit = rand(*shape).mul_(2).sub_(1)
    elif ball.norm is Norm.L2:
        unit = torch.randn(shape, generator=generator, dtype=like.dtype, device=generator.device)
        # exp(-t^2) is a Gaussian of variance 1/2: hence the factor 2 before the exponential.
        unit.div_((unit.square().sum(1) + 2 * exponential()).sqrt_().unsqueeze(1))
    else:
        # One uniform number gives a Laplace variable, its sign and its size: several times faster than two of them.
        unit = rand(*shape).mul_(2).sub_(1)
        size = unit.abs().clamp_(max=1 - torch.finfo(unit.dtype).eps).neg_().log1p_().neg_()
        total = size.sum(1)
        if ball.law is Law.UNIFORM:
            total += exponential()
        unit = size.copysign_(unit).div_(total.clamp_(min=torch.finfo(unit.dtype).tiny).unsqueeze(1))
    if ball.law is Law.REFERENCE_CODE and ball.norm is not Norm.LINF:
        unit.mul_(rand(count).unsqueeze(1))
    return unit.mul_(ball.radius).view(count, *like.shape)


def batch_generator(seed: int, image: str, ball: Ball, batch: int, device: torch.device) -> Generator:
    """The generator of one batch of points: a function of its arguments alone, never of process, order or history.

    The radius and the law stay out of it, so that two radii are compared on the same random numbers. Generators of the
    CPU and of a GPU give different numbers for one seed. The CPU's takes 32 bits of it: of 30,000 scores of 500
    batches, about one has two batches with the same points.
    """
    name = f"{seed}/{image}/{ball.norm}/{batch}"
    digest = hashlib.sha256(name.encode()).digest()
    return Generator(device).manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def batch_offsets(
    ball: Ball, n_samples: int, like: Float[Tensor, "..."], generator: Generator
) -> Iterator[Float[Tensor, "draw ..."]]:
    """The N_s points of one batch, a `DRAW` at a time (the last draw may be cut)."""
    points, numbers = DRAW.get(generator.device.type, DRAW["cpu"])
    draw = min(points, 1 << max(0, (numbers // like.numel()).bit_length() - 1))
    for start in range(0, n_samples, draw):
        # A whole draw even where fewer are asked for: the first points of a longer batch are those of a shorter one.
        yield offsets(ball, draw, like, generator)[: n_samples - start]
