"""The score as a function of the radius R, and the self-consistent R."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from clever.errors import InputError

Numbers = Float[NDArray[np.float64], "*radius"]


def over_radius(margin: float, radii: Numbers, constants: Numbers) -> Numbers:
    """min(g / L(R), R) for each radius R, where L(R) is the largest of the ``constants`` of all balls up to R.

    A smaller ball is part of a larger one, so its points count there, too. In high dimension the points drawn in a ball
    lie near its surface, so the balls together sample the largest one in strata of the radius. ``radii``: increasing,
    in [0,1]-pixel units; ``constants``: L, or K (`clever.Gauge`), one per radius (`Score.constant`); ``margin``: g at
    the image. The scores are estimates, because L(R) is estimated from below. `InputError` for radii that do not
    increase.
    """
    if len(radii) != len(constants) or not len(radii) or not (np.diff(radii) > 0).all() or not radii[0] > 0:
        raise InputError(
            f"radii {list(radii)} with {len(constants)} constants: radii must be positive and must increase, with one "
            "constant each"
        )
    largest = np.maximum.accumulate(constants)
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(np.where(largest > 0, margin / largest, np.inf), radii))


def self_consistent(scores: Numbers) -> float:
    """The largest score over all radii, approximately at the R where g / L(R) = R.

    For smaller R the score is R, for larger R it is g / L(R). This is the largest score and the least reliable: in
    small balls, samples miss more of the steepest points.
    """
    return float(np.max(scores))
