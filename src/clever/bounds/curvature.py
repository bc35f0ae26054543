"""Bounds on the curvature M of the second-order theorem in each norm, from the margin's Hessian at a point."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever.norms import Norm

SWEEPS = 10
"""Sweeps of the ascent in `box_curvature`; on random matrices, more change its bound by less than a percent."""


def curvature_factor(norm: Norm, dim: int) -> float:
    """The factor that turns the curvature for p = 2 into a bound for ``norm``: 1 for L1 and L2, dim for Linf.

    max over ``||v||_p = 1`` of (-v'Hv)_+ is at most (-lambda_min)_+ times the largest ``||v||_2^2`` of such v. Exact
    for L2. A valid bound for the others, where it can be dim times too large: for L1 with -H = 11'/dim, where M_1 is
    1/dim and M_2 is 1; for Linf with -H = e e', e a unit coordinate vector, where M_inf and M_2 are both 1.
    """
    return float(dim) if norm is Norm.LINF else 1.0


def cross_curvature(hessians: Float[Tensor, "batch dim dim"]) -> Float[Tensor, " batch"]:
    """An upper bound on M_1 = max over ``||v||_1 = 1`` of (-v'Hv)_+: the largest of (-H_ii)_+ and, off the diagonal,
    ``|H_ij|``.

    With b_ij these entries, -v'Hv <= sum_ij |v_i| |v_j| b_ij and sum_ij |v_i| |v_j| = 1. Exact for positive
    semidefinite -H, whose largest entry lies on the diagonal: a convex function attains its maximum at a corner.
    """
    diagonal = torch.diagonal(hessians, dim1=1, dim2=2)
    across = hessians - torch.diag_embed(diagonal)
    return torch.maximum(across.abs().amax((1, 2)), (-diagonal).amax(1).clamp_min(0))


def box_curvature(hessians: Float[Tensor, "batch dim dim"]) -> Float[Tensor, " batch"]:
    """An upper bound on M_inf = max over ``||v||_inf = 1`` of (-v'Hv)_+: sum_i (y_i)_+ for some y with diag(y) >= -H.

    Any such y gives a bound, because -v'Hv <= sum_i y_i v_i^2. The smallest one is the semidefinite relaxation of
    max-cut, at most pi / 2 times M_inf for positive semidefinite -H (Nesterov 1998). It is approximated by coordinate
    ascent on unit vectors u_i (Wang, Chang and Kolter 2017, "The mixing method"): u_i is set along
    sum_(j != i) -H_ij u_j, whose length plus -H_ii is y_i at the optimum. The bound is made valid wherever the ascent
    ends by adding mu = lambda_max(-H - diag(y))_+ to each y_i. In double precision; the cost is `SWEEPS` * dim products
    of a vector with a matrix of about sqrt(2 dim) columns, and one eigenvalue problem. The bound can exceed dim * M_2,
    so callers take the smaller of the two. NaN where H is not finite.
    """
    finite = hessians.isfinite().all(2).all(1)
    concave = -hessians.double().where(finite[:, None, None], torch.zeros((), dtype=torch.float64))
    diagonal = torch.diagonal(concave, dim1=1, dim2=2)
    across = concave - torch.diag_embed(diagonal)
    dim = hessians.shape[1]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(dim, 1 + math.isqrt(2 * dim), generator=generator, dtype=torch.float64)
    units = torch.nn.functional.normalize(start, dim=1).to(hessians.device).repeat(len(hessians), 1, 1)
    for _ in range(SWEEPS):
        for i in range(dim):
            pull = torch.einsum("bj,bjk->bk", across[:, i], units)
            units[:, i] = torch.nn.functional.normalize(pull, dim=1)
    scales = diagonal + torch.linalg.vector_norm(across @ units, dim=2)
    violation = torch.linalg.eigvalsh(concave - torch.diag_embed(scales))[:, -1:].clamp_min(0)
    bound: Tensor = (scales + violation).clamp_min(0).sum(1)
    return bound.where(finite, torch.nan).to(hessians)
