"""Random points in L1, L2 and Linf balls."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from clever._internal.choice import Choice
from clever._internal.generators import torch_generator
from clever.errors import InputError
from clever.norms import Norm
from clever.sampling import unit_ball

DRAW = {"cpu": (32, 2**17), "cuda": (1024, 2**22)}
"""The largest number of points, and of values, per call of a generator: small enough for a CPU's cache, large enough
to keep a GPU busy. Fixed, so that the points do not depend on the batch size."""


class Law(Choice):
    """The distribution of points in a ball of radius R.

    ``uniform``: uniform in volume, as in the papers. ``reference_code``: as in the authors' code (L2: a point uniform
    in the unit ball times a radius uniform in [0, R]; L1: a point uniform on the unit sphere times a radius uniform in
    [0, R]; Linf: uniform in the cube of half-width R). Both ignore the pixel range: clipping to [0,1] moves points
    onto the faces of the box, so clipped points are not uniform.
    """

    UNIFORM = "uniform"
    REFERENCE_CODE = "reference_code"


@dataclass(frozen=True)
class Ball:
    """The set of x with ||x - x0||_p <= radius, radius in [0,1]-pixel units, and the distribution of points in it.

    Norm and law may be given by name. `InputError` for an unknown name and for a radius that is not positive and
    finite.
    """

    norm: Norm
    radius: float
    law: Law | str = Law.UNIFORM

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", Norm.parse(self.norm))
        object.__setattr__(self, "law", Law.parse(self.law))
        if not 0 < self.radius < float("inf"):
            raise InputError(f"the radius of the {self.norm} ball is {self.radius}: it must be positive and finite")

    def inner_radius(self, norm: Norm, dimension: int) -> float:
        """The radius of the largest ball in another norm p' inside this one: R / dimension^max(0, 1/p - 1/p')."""
        return float(self.radius / dimension ** max(0.0, 1 / self.norm.p - 1 / norm.p))


def offsets(ball: Ball, count: int, centre: Float[Tensor, "..."], generator: Generator) -> Float[Tensor, "count ..."]:
    """``count`` independent offsets x - x0 in the ball, each with the shape of ``centre``, on the generator's device.

    Guarantee: every point lies in the ball up to rounding; for `Law.UNIFORM`, norm / R is the (1/d)-th power of a
    uniform variable, d = ``centre.numel()``. `InputError` unless ``centre`` is float32 or float64.
    """
    if centre.dtype not in (torch.float32, torch.float64):
        raise InputError(f"points of {centre.dtype}: use float32 or float64, since sums in other types overflow")
    return _in_unit_ball(ball, centre, count, generator).mul_(ball.radius).view(count, *centre.shape)


def _in_unit_ball(ball: Ball, centre: Tensor, count: int, generator: Generator) -> Float[Tensor, "count d"]:
    if ball.norm is Norm.LINF or ball.law is Law.UNIFORM:
        return unit_ball.uniform(ball.norm, count, centre.numel(), centre.dtype, generator)
    unit = unit_ball.uniform(ball.norm, count, centre.numel(), centre.dtype, generator, sphere=ball.norm is Norm.L1)
    return unit.mul_(torch.rand(count, 1, generator=generator, dtype=unit.dtype, device=generator.device))


def batch_generator(seed: int, image: str, ball: Ball, batch: int, device: torch.device) -> Generator:
    """The generator of one batch of points: a function of its arguments alone, never of process, order or history.

    The seed ignores the radius and the law, so that two radii are compared on the same random numbers. CPU and GPU
    generators give different numbers for the same seed. The CPU's uses only 32 bits of it: about one in 30,000 scores
    of 500 batches has two batches with the same points.
    """
    return torch_generator(f"{seed}/{image}/{ball.norm}/{batch}", device)


def batch_offsets(
    ball: Ball, n_samples: int, centre: Float[Tensor, "..."], generator: Generator
) -> Iterator[Float[Tensor, "draw ..."]]:
    """The N_s points of one batch, in draws of at most `DRAW` points; the last may be truncated."""
    points, numbers = DRAW.get(generator.device.type, DRAW["cpu"])
    draw = min(points, 1 << max(0, (numbers // centre.numel()).bit_length() - 1))
    for start in range(0, n_samples, draw):
        # Always a full draw, so that a longer batch begins with the points of a shorter one.
        yield offsets(ball, draw, centre, generator)[: n_samples - start]
