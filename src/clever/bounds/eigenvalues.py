"""What a search for the smallest eigenvalues of Hessians gives, whoever searches."""

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float, Int
from torch import Tensor

from clever._internal.checks import is_number, require_int
from clever.classifier.hessian import Margin, Start
from clever.errors import InputError


@dataclass(frozen=True)
class Eigenvalues:
    """One eigenvalue estimate a point, in the points' dtype and on their device.

    ``value`` is theta = v'Hv for a unit vector v, so never below the smallest eigenvalue but for rounding: a curvature
    -theta is estimated from below; NaN where the Hessian is not finite. ``lower`` is what the solver takes for a lower
    bound of the smallest eigenvalue, from which curvatures are made. ``residual`` is ``||Hv - theta v||``: some
    eigenvalue lies that near to theta. ``products`` counts the Hessian-vector products computed for the point, those
    after it had converged included.
    """

    value: Float[Tensor, " batch"]
    lower: Float[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]
    products: Int[Tensor, " batch"]


class Solver(Protocol):
    """The smallest eigenvalue of the Hessian of ``margin`` at each point, from the given start vectors."""

    def __call__(self, margin: Margin, points: Float[Tensor, "batch ..."], start: Start) -> Eigenvalues:
        """As `clever.Lanczos` and `clever.bounds.power_iteration.PowerIteration`."""
        ...

    @property
    def max_vectors(self) -> int:
        """The most vectors of the point's size that it keeps for one point."""
        ...


def check_effort(tolerance: float, most: int, name: str) -> None:
    """`InputError` for a tolerance or a budget of products that is not positive."""
    if not is_number(tolerance) or not tolerance > 0:
        raise InputError(f"tolerance is {tolerance!r}: it must be a positive number")
    require_int(name, most, 1)
