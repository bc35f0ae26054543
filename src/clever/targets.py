"""The target classes of an image."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clever._internal.choice import Choice
from clever._internal.generators import numpy_generator_of
from clever.errors import InputError

NAMED = ("top2", "random", "least", "untargeted")
"""Second most likely class, a random one, the least likely one, and the minimum over all classes."""


class RandomTarget(Choice):
    """Which classes a random target may be: ``any`` but the predicted one, or not an extreme one either.

    ``not_extreme`` is the authors' code: neither predicted, nor second most likely, nor least likely.
    """

    ANY = "any"
    NOT_EXTREME = "not_extreme"


def check_targets(targets: Sequence[str | int], classes: int) -> None:
    """`InputError` for an unknown name, a class that does not exist, or no target at all."""
    if not targets:
        raise InputError(f"no target: choose from {', '.join(NAMED)} or give class numbers")
    for target in targets:
        if isinstance(target, str) and target not in NAMED:
            raise InputError(f"unknown target {target!r}: it must be one of {', '.join(NAMED)} or a class number")
        if not isinstance(target, str) and not 0 <= target < classes:
            raise InputError(f"target class {target}: the network has classes 0 to {classes - 1}")


def target_classes(
    target: str | int, logits: Float[Tensor, " class"], *, rule: RandomTarget, seed: int, image: str
) -> list[int]:
    """The classes that a target stands for, given the logits of one image: one class, or all for ``untargeted``.

    The random class depends on the seed and the image alone, as far as the rule lets it: two defenses that see the same
    image draw the same class. `InputError` for a target equal to the predicted class.
    """
    ranked = logits.argsort(descending=True, stable=True).tolist()
    predicted, others = ranked[0], sorted(ranked[1:])
    if target == "untargeted":
        return others
    if target == "top2":
        return [ranked[1]]
    if target == "least":
        return [ranked[-1]]
    if target == "random":
        excluded = {predicted} if rule is RandomTarget.ANY else {predicted, ranked[1], ranked[-1]}
        if len(excluded) >= len(ranked):
            raise InputError(f"a random target by the rule {rule} does not exist among {len(ranked)} classes")
        order = numpy_generator_of(f"{seed}/{image}/random target").permutation(len(ranked)).tolist()
        return [next(label for label in order if label not in excluded)]
    if target == predicted:
        raise InputError(f"target class {target} is the predicted class of the image: choose another class")
    return [int(target)]
