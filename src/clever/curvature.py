"""What the smallest eigenvalue of the margin's Hessian says of the curvature M of the second-order theorem."""

from jaxtyping import Float
from torch import Tensor

from clever.choice import Choice
from clever.norms import Norm


class Convention(Choice):
    """What a smallest eigenvalue contributes to M."""

    NEGATIVE_PART = "negative_part"
    """max(-lambda_min, 0): the theorem's. A margin convex around the image has M = 0."""
    ABSOLUTE = "absolute"
    """abs(lambda_min): the authors' code's, which lowers the score where the margin is convex."""

    def of(self, smallest: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The curvature, never negative, of each smallest eigenvalue."""
        return smallest.abs() if self is Convention.ABSOLUTE else (-smallest).clamp_min(0)


def curvature_factor(norm: Norm, dim: int) -> float:
    """What the curvature for p = 2 is multiplied with to bound that for ``norm``: 1 for L1 and L2, dim for Linf.

    max over ``||v||_p = 1`` of (-v'Hv)_+ is at most (-lambda_min)_+ times the largest ``||v||_2^2`` of such v. Exact
    for L2; sound for the others, where it can be too large: up to dim times for L1 (-H the identity plus a large
    negative multiple of the all-ones matrix), up to dim times for Linf (-H of rank one along a coordinate).
    """
    return float(dim) if norm is Norm.LINF else 1.0
