"""The authors' way to the smallest eigenvalue of a Hessian, kept for comparison: power iteration over a whole batch."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clever.bounds.eigenvalues import Eigenvalues, check_effort
from clever.classifier.hessian import Hessian, Margin, Start, start_vectors


@dataclass(frozen=True)
class PowerIteration:
    """The smallest eigenvalue of the Hessian of ``margin`` at each point, as the authors' code estimates it.

    A first run finds the eigenvalue mu of largest size. Where mu > 0 a second run on H - mu I finds lambda_min - mu;
    where mu <= 0 it is lambda_min already. A run ends when the norm over the batch of the change of the estimates falls
    below ``tolerance`` (absolute: its meaning varies with the scale of the margin and the size of the batch), or after
    ``max_steps``; every point pays for every step of both runs, and its result depends on the others in its batch. A
    small change does not bound the error: where two eigenvalues of near size and opposite sign compete, the estimate
    lingers between them. ``lower`` is the estimate itself, as there: nothing is added for its error.

    ``converged`` says, for the whole batch alike, that each run ended by its rule; ``residual`` is the last step's.
    Raises `InputError` for a tolerance or budget that is not positive, and what `Hessian` refuses.
    """

    tolerance: float = 1e-3
    max_steps: int = 500

    def __post_init__(self) -> None:
        check_effort(self.tolerance, self.max_steps, "max_steps")

    @property
    def max_vectors(self) -> int:
        """The vector, its product and what follows from them."""
        return 4

    def __call__(self, margin: Margin, points: Float[Tensor, "batch ..."], start: Start) -> Eigenvalues:
        """One eigenvalue a point; points (batch, ...), start one vector a point, one for all, or a generator."""
        hessian, vectors = Hessian(margin, points), start_vectors(points, start)
        none = points.new_zeros(points.shape[0])
        first = _run(hessian, none, vectors, self.tolerance, self.max_steps)
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
    """Power iteration on H - shift I; the value is that of H, the shift added again."""
    previous = torch.full_like(shift, torch.inf)
    for taken in range(1, steps + 1):  # noqa: B007 (read after the loop)
        product = hessian(vector) - shift.unsqueeze(1) * vector
        value = (vector * product).sum(1)
        residual = torch.linalg.vector_norm(product - value.unsqueeze(1) * vector, dim=1)
        settled = bool(torch.linalg.vector_norm(value - previous) < tolerance)
        if settled:
            break
        previous = value
        length = torch.linalg.vector_norm(product, dim=1, keepdim=True)
        # A product of exactly zero: the vector lies in the null space, and is its own continuation.
        vector = torch.where(length > 0, product / length.clamp_min(torch.finfo(length.dtype).tiny), vector)
    done: Bool[Tensor, " batch"] = torch.full_like(shift, settled, dtype=torch.bool)
    found = value + shift
    return Eigenvalues(found, found, residual, done, torch.full_like(shift, taken, dtype=torch.long))
