"""The smallest eigenvalue of the Hessian of a margin at many points at once, by the Lanczos method."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clever.bounds.eigenvalues import Eigenvalues, check_effort
from clever.classifier.hessian import Hessian, Margin, Start, start_vectors
from clever.norms import Norm


@dataclass(frozen=True)
class Lanczos:
    """The smallest eigenvalue of the Hessian of ``margin`` at each point, by the Lanczos method from random starts.

    After k products theta is the minimum of v'Hv over the unit vectors v of the start's Krylov space. A point stops

    - as converged, after two consecutive products with residual <= tolerance * ``|theta|``, or <= the rounding error of
      rho, the largest Ritz value in size (a lower estimate of the spectral radius);
    - as exact, when the Krylov space is invariant (zero, constant or low-rank Hessians) or the whole space;
    - as not converged, after ``max_products``.

    The tolerance is relative to the smallest eigenvalue, however large the others are. ``lower`` is theta - residual.
    Some eigenvalue lies within ``residual`` of theta. If that is the smallest one, ``lower`` is below it and the
    curvature -lower is above the true one. For a converged point it is the smallest unless the start vector was almost
    orthogonal to its eigenvector: an eigenvalue delta below theta is missed only if that component is about residual /
    delta or less. This is rare, and the second product makes it rarer, because a missed component grows with every
    product. For a point that has not converged this is only likely. Theta itself has an error of about residual^2 / gap
    (Kato, Temple), where gap is the distance to the next eigenvalue. Without any assumption on gaps, its error exceeds
    e * (lambda_max - lambda_min) with probability at most 1.648 sqrt(dim) exp(-sqrt(e) (2k - 1)) (Kuczynski and
    Wozniakowski 1992).

    Every product is one batched backward pass (`clever.classifier.hessian.Hessian`). Converged points leave the batch
    once they make up a quarter of it. Memory: k vectors per point. Each product is orthogonalised twice against the
    whole basis (classical Gram-Schmidt, for which twice is enough: Giraud et al. 2005), which costs little compared
    with the network. Up to rounding, a point's result depends only on the point and its start vector.

    `InputError` for a tolerance or budget that is not positive, and for a margin or ``start`` that `Hessian` rejects.

        clever.SecondOrder(solver=clever.Lanczos(tolerance=1e-3, max_products=50))
    """

    tolerance: float = 1e-5
    max_products: int = 100

    def __post_init__(self) -> None:
        check_effort(self.tolerance, self.max_products, "max_products")

    @property
    def max_vectors(self) -> int:
        """The size of the Krylov basis."""
        return self.max_products

    def __call__(self, margin: Margin, points: Float[Tensor, "batch ..."], start: Start) -> Eigenvalues:
        """One eigenvalue per point; points (batch, ...); start: one vector per point, one for all, or a generator."""
        hessian = Hessian(margin, points)
        vector = start_vectors(points, start)
        batch, dim = vector.shape
        epsilon = torch.finfo(points.dtype).eps
        value, residual = points.new_zeros(batch), points.new_zeros(batch)
        converged = torch.zeros(batch, dtype=torch.bool, device=points.device)
        products = torch.zeros(batch, dtype=torch.long, device=points.device)

        # State of the rows still in the batch. The tridiagonal matrices are tiny: float64 on the CPU.
        rows = torch.arange(batch, device=points.device)
        open_, below = torch.ones(batch, dtype=torch.bool), torch.zeros(batch, dtype=torch.bool)
        diagonal, coupling = torch.empty(batch, 0, dtype=torch.float64), torch.empty(batch, 0, dtype=torch.float64)
        basis = vector.new_empty(batch, min(16, self.max_products, dim), dim)
        for step in range(1, min(self.max_products, dim) + 1):
            if step > basis.shape[1]:
                basis = torch.cat([basis, torch.empty_like(basis)], dim=1)
            basis[:, step - 1] = vector
            product = hessian(vector)
            products[rows] += 1
            alpha = (vector * product).sum(1)
            product = _without(_without(product, basis[:, :step]), basis[:, :step])
            beta = Norm.L2.of(product)
            diagonal, coupling = _append(diagonal, alpha), _append(coupling, beta)

            theta, radius, bound = _smallest_ritz(diagonal, coupling)
            finite = ~theta.isnan()
            exact = coupling[:, -1] <= epsilon * radius
            exact |= torch.full_like(exact, step == dim)
            small = bound <= (self.tolerance * theta.abs()).maximum(epsilon * radius)
            done = exact | (small & below) | ~finite
            below = small
            live = rows[open_.to(rows.device)]
            value[live], residual[live] = theta[open_].to(value), bound[open_].to(value)
            converged[live] = (done & finite)[open_].to(live.device)

            open_ &= ~done
            if not open_.any():
                break
            vector = product / beta.clamp_min(torch.finfo(points.dtype).tiny).unsqueeze(1)
            if open_.sum() <= 0.75 * len(open_):  # for fewer rows a new graph costs more than the products it saves
                active = open_.to(rows.device)
                rows, hessian, vector, basis = rows[active], hessian.keep(active), vector[active], basis[active]
                diagonal, coupling, below, open_ = diagonal[open_], coupling[open_], below[open_], open_[open_]
        return Eigenvalues(value, value - residual, residual, converged, products)


def _without(vectors: Float[Tensor, "row dim"], basis: Float[Tensor, "row k dim"]) -> Float[Tensor, "row dim"]:
    """The vectors minus their projections onto the orthonormal rows of the basis."""
    parts = basis @ vectors.unsqueeze(2)
    return vectors - (basis.mT @ parts).squeeze(2)


def _append(columns: Float[Tensor, "row k"], column: Float[Tensor, " row"]) -> Float[Tensor, "row k+1"]:
    return torch.cat([columns, column.detach().to("cpu", torch.float64).unsqueeze(1)], dim=1)


def _smallest_ritz(
    diagonal: Float[Tensor, "row k"], coupling: Float[Tensor, "row k"]
) -> tuple[Float[Tensor, " row"], Float[Tensor, " row"], Float[Tensor, " row"]]:
    """The smallest Ritz value (NaN where an entry is not finite), the largest in size, and the smallest's residual.

    The residual bound is beta_k |s_k|, where s is the eigenvector of the tridiagonal matrix.
    """
    tridiagonal = torch.diag_embed(diagonal) + torch.diag_embed(coupling[:, :-1], offset=-1)
    finite = (diagonal + coupling).isfinite().all(1)
    ritz, vectors = torch.linalg.eigh(tridiagonal.where(finite[:, None, None], torch.zeros(())))  # LAPACK refuses NaN
    smallest = ritz[:, 0].where(finite, torch.nan)
    return smallest, ritz.abs().amax(1), coupling[:, -1] * vectors[:, -1, 0].abs()
