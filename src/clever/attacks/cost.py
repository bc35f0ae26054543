"""The planned cost of an attack."""

from torch import nn

from clever._internal.types import Transformation
from clever.attacks.criterion import SuccessCriterion, random_transformation
from clever.attacks.descent import has_pixelwise_steps
from clever.attacks.pass_counter import draws_per_image
from clever.attacks.refine import HALVINGS, OUTWARD, as_image_map
from clever.attacks.strength import Method, Strength
from clever.defenses.bpda import Defended
from clever.defenses.chain import parts
from clever.defenses.jpeg.linearized import Linearized
from clever.norms import Norm


def planned_passes(
    norm: Norm,
    strength: Strength,
    defense: Transformation,
    *,
    criterion: SuccessCriterion = SuccessCriterion(),  # noqa: B008 (frozen)
) -> int:
    """The approximate number of pairs of a forward and a backward pass per row; a forward pass alone counts half.

    A pass over all draws of a mean counts once. The held-out draws are counted as if every image were tested on them,
    so this is an upper estimate behind a random defense.
    """
    if strength.method is Method.CARLINI_WAGNER:
        return strength.starts * strength.steps
    staircase = as_image_map(defense)
    sparsifying = (staircase is not None and norm is not Norm.LINF) * strength.rounds // 2
    descents = strength.steps * (staircase is not None and has_pixelwise_steps(staircase))
    descents *= 1 + (norm is not Norm.LINF and any(isinstance(part, Linearized) for part in parts(defense)))
    # One attack from the original and one from its result; for L1 on a staircase those for L2 as well.
    searches = 0 if descents else 4 if norm is Norm.L1 and staircase else 2
    own = (descents + searches * (strength.steps + HALVINGS)) * strength.starts + sparsifying
    if random_transformation(Defended(nn.Identity(), defense)) is None:
        return own
    checks = (searches // 2 * (strength.steps + len(OUTWARD)) + searches * 2 * HALVINGS) * strength.starts
    return own + (checks + 2 * sparsifying) * criterion.draws // draws_per_image(defense) // 2
