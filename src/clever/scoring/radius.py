"""The score as a function of the radius R: what samples in smaller balls say of larger ones, and the best R."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from clever.errors import InputError

Numbers = Float[NDArray[np.float64], "*radius"]


def over_radius(margin: float, radii: Numbers, constants: Numbers) -> Numbers:
    """min(g / L(R), R) for each radius R, L(R) the largest of the ``constants`` estimated in the balls up to R.

    A smaller ball is part of a larger one, so that its points count there, too: in high dimension those that are drawn
    in a ball all lie near its surface, and the balls together sample it in strata of the radius. ``radii``: increasing,
    in [0,1]-pixel units; ``constants``: L, or K (`clever.Gauge`), one a radius (`Score.constant`); ``margin``: g
    at the image. An estimate, as every score: L(R) is one from below. `InputError` for radii that do not increase.
    """
    if len(radii) != len(constants) or not len(radii) or not (np.diff(radii) > 0).all() or not radii[0] > 0:
        raise InputError(
            f"radii {list(radii)} with {len(constants)} constants: they must increase from above 0, one each"
        )
    largest = np.maximum.accumulate(constants)
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(np.where(largest > 0, margin / largest, np.inf), radii))


def self_consistent(scores: Numbers) -> float:
    """The largest score over the radius, at about the R where g / L(R) = R.

    Below it R is the bound, beyond it g / L(R). The tightest score, and the least reliable: the smaller the ball, the
    more of its steepest places samples miss.
    """
    return float(np.max(scores))
