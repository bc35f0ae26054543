"""The closed formulas that turn an estimate into a score, and nothing else."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clever.errors import InputError


def first_order(margin: float, lipschitz: float, radius: float = math.inf) -> float:
    """min(g(x0) / L, R): no perturbation of smaller norm changes the class from c to j (Weng et al. 2018, theorem 3.2).

    True for the local Lipschitz constant L = max ||grad g||_q over the ball of radius R; with an estimate of L, the
    result is an estimate. With gradients by BPDA, of f at t(x), L bounds how fast g changes with t(x), not with x: then
    it is a distance from t(x0), also with the true maximum on the segments from t(x0) to t(x) (`clever.Gauge`). L = 0
    leaves R, which is infinite for a score that is not capped; a margin <= 0 gives 0.
    In [0,1]-pixel units. `InputError` for a NaN, a negative L or R, or a margin that is not finite.
    """
    if not (lipschitz >= 0 and radius > 0 and math.isfinite(margin)):
        raise InputError(f"margin {margin}, Lipschitz constant {lipschitz}, radius {radius}: no bound is defined")
    if margin <= 0:
        return 0.0
    return min(margin / lipschitz if lipschitz > 0 else math.inf, radius)


def second_order(
    margin: ArrayLike, gradient_norm: ArrayLike, curvature: ArrayLike, radius: ArrayLike = math.inf
) -> NDArray[np.float64]:
    """min( (-b + sqrt(b^2 + 2 M g)) / M, R ), the second-order bound on the perturbation that a margin survives.

    g = ``margin`` = f_c(x0) - f_j(x0), b = ``gradient_norm`` = ``||grad g(x0)||_q`` at the image itself,
    M = ``curvature`` = max over x in B_p(x0, R) of max over ``||v||_p = 1`` of (-v'H(x)v)_+, R = ``radius``, infinite
    for a score that is not capped. A perturbation d leaves at least g - b ||d|| - M ||d||^2 / 2 of the margin, which is
    positive below the bound: with the true M, no smaller ``||d||_p`` changes the class from c to j. With an estimate of
    M the result is an estimate. In the units of the points: [0,1] pixels.

    For p = 2, M is the maximum over x of (-lambda_min(H(x)))_+. For p = 1 and infinity the maximum over v is NP-hard
    (-H an adjacency matrix: the largest clique; -H a Laplacian: the largest cut), but anything above it keeps the
    theorem true: M_1 <= M_2 because ``||v||_2 <= ||v||_1``, and M_inf <= dim * M_2 because
    ``||v||_2^2 <= dim * ||v||_inf^2``, M_2 the number for p = 2 over the ball of the norm in question
    (`clever.bounds.curvature.curvature_factor`; `cross_curvature` and `box_curvature` there, from the entries of a
    small H).

    Computed as g / (b/2 + sqrt((b/2)^2 + g M/2)), which subtracts nothing: it is g / b for M = 0, sqrt(2g / M) for
    b = 0 and R for both. A margin <= 0 gives 0. Arguments broadcast as numpy arrays do; the result is float64 of their
    shape.
    `InputError` for a NaN, a negative number other than the margin, or a margin that is not finite.

    Source: Weng, Zhang, Chen, Lozano, Hsieh, Daniel 2018, "On Extensions of CLEVER", arXiv 1810.08640.
    """
    given = (margin, gradient_norm, curvature, radius)
    g, b, m, r = np.broadcast_arrays(*(np.asarray(numbers, dtype=np.float64) for numbers in given))
    for name, numbers in (("gradient_norm", b), ("curvature", m), ("radius", r)):
        if not np.all(numbers >= 0):
            raise InputError(f"{name} must be a number >= 0 everywhere, but the smallest is {np.min(numbers)}")
    if not np.all(np.isfinite(g)):
        raise InputError("margin must be finite everywhere")
    g = np.maximum(g, 0.0)
    # hypot and the product of roots neither overflow nor underflow where the squares would.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # 0 * inf: a margin of 0, whose bound is 0
        denominator = b / 2 + np.hypot(b / 2, np.sqrt(g) * np.sqrt(m / 2))
        bound = np.divide(g, denominator, out=np.where(g > 0, np.inf, 0.0), where=denominator > 0)
    return np.asarray(np.minimum(bound, r))
