"""The closed-form bounds that turn estimates into scores."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clever.errors import InputError


def first_order(margin: float, lipschitz: float, radius: float = math.inf) -> float:
    """min(g(x0) / L, R): no perturbation of smaller norm changes the class from c to j (Weng et al. 2018, theorem 3.2).

    Holds for the local Lipschitz constant L = max ||grad g||_q over the ball of radius R; with an estimate of L the
    result is an estimate. With BPDA's gradients, which are those of f at t(x), L bounds how fast g changes with t(x),
    not with x; the result is then a distance from t(x0), even with the true maximum over the segments from t(x0) to
    t(x) (`clever.Gauge`). L = 0 gives R (infinity by default, for a score that is not capped); a margin <= 0 gives 0.

    In [0,1]-pixel units. `InputError` for NaN, a negative L, R <= 0, and a margin that is not finite.

        first_order(margin=2.0, lipschitz=4.0, radius=1.0)  # 0.5
    """
    if not (lipschitz >= 0 and radius > 0 and math.isfinite(margin)):
        raise InputError(
            f"margin {margin}, Lipschitz constant {lipschitz}, radius {radius}: the margin must be "
            "finite, the constant >= 0 and the radius > 0"
        )
    if margin <= 0:
        return 0.0
    return min(margin / lipschitz if lipschitz > 0 else math.inf, radius)


def second_order(
    margin: ArrayLike, gradient_norm: ArrayLike, curvature: ArrayLike, radius: ArrayLike = math.inf
) -> NDArray[np.float64]:
    """The second-order bound min((-b + sqrt(b^2 + 2 M g)) / M, R): no smaller perturbation changes the class from c to
    j.

    g = ``margin`` = f_c(x0) - f_j(x0), b = ``gradient_norm`` = ``||grad g(x0)||_q`` at the image itself,
    M = ``curvature`` = max over x in B_p(x0, R) of max over ``||v||_p = 1`` of (-v'H(x)v)_+, R = ``radius``, infinite
    for a score that is not capped. After a perturbation d the margin is at least g - b ||d|| - M ||d||^2 / 2, which is
    positive below the bound. So with the true M no smaller ``||d||_p`` changes the class from c to j; with an estimate
    of M the result is an estimate. In the units of the points: [0,1] pixels.

    For p = 2, M is the maximum over x of (-lambda_min(H(x)))_+. For p = 1 and infinity the maximum over v is NP-hard
    (maximum clique for an adjacency matrix -H; max-cut for a Laplacian -H), but the theorem holds for any upper bound:
    M_1 <= M_2 because ``||v||_2 <= ||v||_1``, and M_inf <= dim * M_2 because ``||v||_2^2 <= dim * ||v||_inf^2``, where
    M_2 is the value for p = 2 over the ball of the given norm. See `clever.bounds.curvature.curvature_factor`, and
    `cross_curvature` and `box_curvature` there for bounds from the entries of a small H.

    Computed as g / (b/2 + sqrt((b/2)^2 + g M/2)), which avoids cancellation: it is g / b for M = 0, sqrt(2g / M) for
    b = 0 and R for both. A margin <= 0 gives 0. Arguments broadcast like numpy arrays; the result is float64.
    `InputError` for NaN, a negative number other than the margin, and a margin that is not finite.

    Source: Weng, Zhang, Chen, Lozano, Hsieh, Daniel 2018, "On Extensions of CLEVER", arXiv 1810.08640.

        second_order(margin=3.0, gradient_norm=1.0, curvature=4.0)  # 1.0
    """
    arguments = (margin, gradient_norm, curvature, radius)
    g, b, m, r = np.broadcast_arrays(*(np.asarray(numbers, dtype=np.float64) for numbers in arguments))
    for name, numbers in (("gradient_norm", b), ("curvature", m), ("radius", r)):
        if not np.all(numbers >= 0):
            raise InputError(f"{name} must be a number >= 0 everywhere, but the smallest is {np.min(numbers)}")
    if not np.all(np.isfinite(g)):
        raise InputError("margin must be finite everywhere")
    g = np.maximum(g, 0.0)
    # hypot and the product of roots do not overflow or underflow where the squares would.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # 0 * inf for a margin of 0; its bound is 0
        denominator = b / 2 + np.hypot(b / 2, np.sqrt(g) * np.sqrt(m / 2))
        bound = np.divide(g, denominator, out=np.where(g > 0, np.inf, 0.0), where=denominator > 0)
    return np.asarray(np.minimum(bound, r))
