"""Power iteration over a whole batch, the authors' solver for the smallest eigenvalue; for comparison."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clever.bounds.eigenvalues import Eigenvalues, check_effort
from clever.classifier.hessian import Hessian, Margin, Start, start_vectors


@dataclass(frozen=True)
class PowerIteration:
    """The smallest eigenvalue of the Hessian of ``margin`` at each point, as estimated by the authors' code.

    A first run finds the eigenvalue mu of largest size. Where mu > 0 a second run on H - mu I finds lambda_min - mu;
    where mu <= 0 it is lambda_min already. A run ends when the norm, over the batch, of the change of the estimates
    falls below ``tolerance``, or after ``max_steps``. The tolerance is absolute, so its meaning depends on the scale of
    the margin and the batch size; every point takes every step of both runs, and its result depends on its batch. A
    small change does not bound the error: with two eigenvalues of similar size and opposite sign the estimate can stall
    between them. As in the authors' code, ``lower`` is the estimate itself, without an error term.

    ``converged`` is the same for the whole batch: both runs met the tolerance. ``residual`` is that of the last step.
    `InputError` for a tolerance or budget that is not positive, and for a margin that `Hessian` rejects.
    """

    tolerance: float = 1e-3
    max_steps: int = 500

    def __post_init__(self) -> None:
        check_effort(self.tolerance, self.max_steps, "max_steps")

    @property
    def max_vectors(self) -> int:
        """The vector, its product and temporaries."""
        return 4

    def __call__(self, margin: Margin, points: Float[Tensor, "batch ..."], start: Start) -> Eigenvalues:
        """One eigenvalue per point; points (batch, ...); start: one vector per point, one for all, or a generator."""
        hessian, vectors = Hessian(margin, points), start_vectors(points, start)
        no_shift = points.new_zeros(points.shape[0])
        first = _run(hessian, no_shift, vectors, self.tolerance, self.max_steps)
        positive = first.value > 0
        if not positive.any():
            return first
        second = _run(hessian, first.value.clamp_min(0), vectors, self.tolerance, self.max_steps)
        return Eigenvalues(
            value=torch.where(positive, second.value, first.value),
            lower=torch.where(positive, second.lower, first.lower),
            residual=torch.where(positive, second.residual, first.residual),
            converged=first.converged & second.converged,
            products=first.products + second.products,
        )


def _run(
    hessian: Hessian, shift: Float[Tensor, " batch"], vector: Float[Tensor, "batch dim"], tolerance: float, steps: int
) -> Eigenvalues:
    """Power iteration on H - shift I; the returned value is an eigenvalue of H."""
    previous = torch.full_like(shift, torch.inf)
    for step in range(1, steps + 1):  # noqa: B007 (read after the loop)
        product = hessian(vector) - shift.unsqueeze(1) * vector
        value = (vector * product).sum(1)
        residual = torch.linalg.vector_norm(product - value.unsqueeze(1) * vector, dim=1)
        settled = bool(torch.linalg.vector_norm(value - previous) < tolerance)
        if settled:
            break
        previous = value
        length = torch.linalg.vector_norm(product, dim=1, keepdim=True)
        # A zero product means that the vector lies in the null space: keep it.
        vector = torch.where(length > 0, product / length.clamp_min(torch.finfo(length.dtype).tiny), vector)
    converged: Bool[Tensor, " batch"] = torch.full_like(shift, settled, dtype=torch.bool)
    eigenvalue = value + shift
    return Eigenvalues(eigenvalue, eigenvalue, residual, converged, torch.full_like(shift, step, dtype=torch.long))
