"""Total variation minimisation after random pixel dropout."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.checks import is_number, require_int
from clever._internal.types import Images
from clever.defenses.random import Seeded
from clever.errors import InputError

STEP = 0.08
"""Primal step size times weight: the fastest value between 0.02 and 0.3 on photographs of 32 x 32 pixels, for weights
from 0.005 to 0.5."""
SQUARED_NORM = 8.0
"""A bound on ||D||^2, where D takes the differences of neighbours in both directions."""


@dataclass(frozen=True)
class TVMinimization(Seeded):
    """Random pixel dropout followed by total variation minimisation (Guo et al. 2018).

    Each value of x is dropped with probability ``dropout``, independently in each channel (m_i = 1 if it is kept). The
    result is the z in [0,1] that minimises ``1/2 sum_i m_i (z_i - x_i)^2 + weight TV_2(z)``, where TV_2 sums the L2
    norms of the differences between neighbouring rows and between neighbouring columns, channel by channel. The paper
    prints the norm of the difference z - x, but its code (``tvl2``) uses half the square, as here; the defaults are
    theirs.

    Solved by ``steps`` primal-dual iterations (Chambolle and Pock 2011). On photographs of 32 x 32 pixels, 200
    iterations come within 1e-5 of the minimum with the defaults, and within 1 % with dropouts from 0.2 to 0.9 and
    weights from 0.005 to 0.5. The true derivative is that of the iteration, which keeps every step in memory.
    `InputError` unless the dropout is between 0 and 1, the weight positive and ``steps`` at least 1.
    """

    dropout: float = 0.5
    weight: float = 0.03
    steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.dropout) or not 0 < self.dropout < 1:
            raise InputError(
                f"the dropout of total variation minimisation is {self.dropout!r}: it must be greater than 0 (nothing "
                "dropped) and less than 1 (everything dropped)"
            )
        if not is_number(self.weight) or not 0 < self.weight < float("inf"):
            raise InputError(f"the weight of the total variation is {self.weight!r}: it must be a positive number")
        require_int("the steps of total variation minimisation", self.steps, 1)

    def mask(self, images: Images) -> Float[Tensor, "channel height width"]:
        """1 where a number of these images is kept, 0 where it is dropped."""
        uniform = torch.rand(images.shape[1:], generator=self.generator(images), dtype=torch.float64)
        return (uniform >= self.dropout).to(images)

    def __call__(self, images: Images) -> Images:
        return minimise(images, self.mask(images), self.weight, self.steps)[0]


def minimise(
    images: Images, mask: Float[Tensor, "channel height width"], weight: float, steps: int
) -> tuple[Images, Tensor, Tensor]:
    """An approximate minimiser, and the dual variables of its row and column differences."""
    z = torch.where(mask > 0, images, 0.5)
    extrapolated, down, across = z, torch.zeros_like(z[:, :, 1:]), torch.zeros_like(z[:, :, :, 1:])
    step = STEP / weight
    dual_step = 1 / (step * SQUARED_NORM)
    for _ in range(steps):
        down = _limit_length(down + dual_step * extrapolated.diff(dim=2), 3, weight)
        across = _limit_length(across + dual_step * extrapolated.diff(dim=3), 2, weight)
        moved = (z - step * _adjoint(down, across) + step * mask * images) / (1 + step * mask)
        previous, z = z, moved.clamp(0, 1)
        extrapolated = 2 * z - previous
    return z, down, across


def _limit_length(dual: Tensor, dim: int, longest: float) -> Tensor:
    length: Tensor = dual.norm(dim=dim, keepdim=True)
    return dual / (length / longest).clamp(min=1)


def _adjoint(down: Tensor, across: Tensor) -> Images:
    """The transpose of the two difference operators."""
    pad = torch.nn.functional.pad
    return pad(down, (0, 0, 1, 0)) - pad(down, (0, 0, 0, 1)) + pad(across, (1, 0, 0, 0)) - pad(across, (0, 1, 0, 0))
