"""The interface of solvers for the smallest eigenvalues of Hessians."""

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float, Int
from torch import Tensor

from clever._internal.checks import is_number, require_int
from clever.classifier.hessian import Margin, Start
from clever.errors import InputError


@dataclass(frozen=True)
class Eigenvalues:
    """One eigenvalue estimate per point, in the points' dtype and on their device.

    ``value`` is theta = v'Hv for a unit vector v, so up to rounding it is never below the smallest eigenvalue, and
    -theta underestimates the curvature; NaN where the Hessian is not finite. ``lower`` is the solver's lower bound on
    the smallest eigenvalue, from which curvatures are computed. ``residual`` is ``||Hv - theta v||``: some eigenvalue
    lies within this distance of theta. ``products`` counts the Hessian-vector products computed for the point,
    including those after it had converged.
    """

    value: Float[Tensor, " batch"]
    lower: Float[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]
    products: Int[Tensor, " batch"]


class Solver(Protocol):
    """The smallest eigenvalue of the Hessian of ``margin`` at each point, from the given start vectors."""

    def __call__(self, margin: Margin, points: Float[Tensor, "batch ..."], start: Start) -> Eigenvalues:
        """One eigenvalue per point; see `clever.Lanczos` and `clever.bounds.power_iteration.PowerIteration`."""
        ...

    @property
    def max_vectors(self) -> int:
        """The largest number of vectors of the point's size stored per point."""
        ...


def check_effort(tolerance: float, most: int, name: str) -> None:
    """`InputError` for a tolerance or a budget of products that is not positive."""
    if not is_number(tolerance) or not tolerance > 0:
        raise InputError(f"tolerance is {tolerance!r}: it must be a positive number")
    require_int(name, most, 1)
