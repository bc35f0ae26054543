"""The loss that targeted attacks minimise."""

import math

from jaxtyping import Float, Int
from torch import Tensor


def target_margin(logits: Float[Tensor, "row class"], targets: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
    """The largest other logit minus the target's: negative where the network predicts the target class.

    f_6 of Carlini and Wagner (2017, section V.A) without its maximum with 0; L of Pintor et al. (2021, equation 2).
    """
    columns = targets.unsqueeze(1)
    others: Tensor = logits.scatter(1, columns, -math.inf).amax(1)
    return others - logits.gather(1, columns).squeeze(1)
