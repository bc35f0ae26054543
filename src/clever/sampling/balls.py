"""Points in L1, L2 and Linf balls, from explicit generators."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from clever._internal.choice import Choice
from clever._internal.generators import generator_of
from clever.errors import InputError
from clever.norms import Norm
from clever.sampling import unit_ball

DRAW = {"cpu": (32, 2**17), "cuda": (1024, 2**22)}
"""The most points, and numbers, of one call of a generator: what a processor's cache holds, and what keeps a GPU
busy. Fixed, so that the numbers do not depend on the hardware's batch."""


class Law(Choice):
    """How points are spread over a ball of radius R.

    ``uniform``: uniform in volume, as the papers say. ``reference_code``: the law of the authors' programs (L2: a point
    uniform in the unit ball times a radius uniform in [0, R]; L1: a point uniform on the unit sphere times a radius
    uniform in [0, R]; Linf: uniform in the cube of half-width R). Both are laws on the ball whatever of it are images:
    clipping their points to [0,1] piles them up on the walls of the box, so that what is clipped is not uniform.
    """

    UNIFORM = "uniform"
    REFERENCE_CODE = "reference_code"


@dataclass(frozen=True)
class Ball:
    """The set of x with ||x - x0||_p <= radius, radius in [0,1]-pixel units, and the law of points in it.

    Norm and law may be given by their names. `InputError` for an unknown name, and for a radius that is not positive
    and finite.
    """

    norm: Norm
    radius: float
    law: Law | str = Law.UNIFORM

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", Norm.parse(self.norm))
        object.__setattr__(self, "law", Law.parse(self.law))
        if not 0 < self.radius < float("inf"):
            raise InputError(f"the radius of the {self.norm} ball is {self.radius}: it must be positive and finite")

    def holds(self, norm: Norm, dimension: int) -> float:
        """The radius of the largest ball of another norm inside this one: R / dimension^max(0, 1/p - 1/p')."""
        return float(self.radius / dimension ** max(0.0, 1 / self.norm.p - 1 / norm.p))


def offsets(ball: Ball, count: int, centre: Float[Tensor, "..."], generator: Generator) -> Float[Tensor, "count ..."]:
    """``count`` independent points x - x0 of the ball, each shaped as ``centre``, on the generator's device.

    Guarantee: every point lies in the ball up to rounding, and for `Law.UNIFORM` its norm over R is the (1/d)-th power
    of a uniform variable, d = ``centre.numel()``.
    """
    if centre.dtype not in (torch.float32, torch.float64):
        raise InputError(f"points of {centre.dtype}: they must be float32 or float64, the sums of others overflow")
    return _in_unit_ball(ball, centre, count, generator).mul_(ball.radius).view(count, *centre.shape)


def _in_unit_ball(ball: Ball, centre: Tensor, count: int, generator: Generator) -> Float[Tensor, "count d"]:
    if ball.norm is Norm.LINF or ball.law is Law.UNIFORM:
        return unit_ball.uniform(ball.norm, count, centre.numel(), centre.dtype, generator)
    unit = unit_ball.uniform(ball.norm, count, centre.numel(), centre.dtype, generator, sphere=ball.norm is Norm.L1)
    return unit.mul_(torch.rand(count, 1, generator=generator, dtype=unit.dtype, device=generator.device))


def batch_generator(seed: int, image: str, ball: Ball, batch: int, device: torch.device) -> Generator:
    """The generator of one batch of points: a function of its arguments alone, never of process, order or history.

    The radius and the law stay out of it, so that two radii are compared on the same random numbers. Generators of the
    CPU and of a GPU give different numbers for one seed. The CPU's takes 32 bits of it: of 30,000 scores of 500
    batches, about one has two batches with the same points.
    """
    return generator_of(f"{seed}/{image}/{ball.norm}/{batch}", device)


def batch_offsets(
    ball: Ball, n_samples: int, centre: Float[Tensor, "..."], generator: Generator
) -> Iterator[Float[Tensor, "draw ..."]]:
    """The N_s points of one batch, a `DRAW` at a time (the last draw may be cut)."""
    points, numbers = DRAW.get(generator.device.type, DRAW["cpu"])
    draw = min(points, 1 << max(0, (numbers // centre.numel()).bit_length() - 1))
    for start in range(0, n_samples, draw):
        # A whole draw even where fewer are asked for: the first points of a longer batch are those of a shorter one.
        yield offsets(ball, draw, centre, generator)[: n_samples - start]
