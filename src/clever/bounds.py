"""The closed formulas that turn an estimate into a score, and nothing else."""

import math

from clever.errors import InputError


def first_order(margin: float, lipschitz: float, radius: float = math.inf) -> float:
    """min(g(x0) / L, R): no perturbation of smaller norm changes the class from c to j (Weng et al. 2018, theorem 3.2).

    True for the local Lipschitz constant L = max ||grad g||_q over the ball of radius R; with an estimate of L, the
    result is an estimate. L = 0 leaves R, which is infinite for a score that is not capped; a margin <= 0 gives 0.
    In [0,1]-pixel units. `InputError` for a negative or NaN argument.
    """
    if not (lipschitz >= 0 and radius > 0 and not math.isnan(margin)):
        raise InputError(f"margin {margin}, Lipschitz constant {lipschitz}, radius {radius}: no bound is defined")
    if margin <= 0:
        return 0.0
    return min(margin / lipschitz if lipschitz > 0 else math.inf, radius)
