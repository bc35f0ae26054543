"""The target classes of an image."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clever._internal.choice import Choice
from clever._internal.generators import numpy_generator
from clever.errors import InputError

TARGET_NAMES = ("top2", "random", "least", "untargeted")
"""The runner-up class, a random class, the least likely class, and the minimum over all classes."""


class RandomTarget(Choice):
    """Classes eligible as a random target.

    ``any``: all but the predicted one. ``not_extreme``, as in the authors' code: neither the predicted, nor the
    runner-up, nor the least likely class.
    """

    ANY = "any"
    NOT_EXTREME = "not_extreme"


def check_targets(targets: Sequence[str | int], classes: int) -> None:
    """`InputError` for an unknown name, a nonexistent class, or an empty list."""
    if not targets:
        raise InputError(f"no target: choose from {', '.join(TARGET_NAMES)} or give class numbers")
    for target in targets:
        if isinstance(target, str) and target not in TARGET_NAMES:
            raise InputError(
                f"unknown target {target!r}: it must be one of {', '.join(TARGET_NAMES)} or a class number"
            )
        if not isinstance(target, str) and not 0 <= target < classes:
            raise InputError(f"target class {target}: the network has classes 0 to {classes - 1}")


def target_classes(
    target: str | int, logits: Float[Tensor, " class"], *, rule: RandomTarget, seed: int, image: str
) -> list[int]:
    """The classes of a target, given the logits of one image: one class, or for ``untargeted`` all but the predicted.

    Apart from the classes that the rule excludes, the random class depends only on the seed and the image, so that two
    defenses draw the same class for the same image. `InputError` for a target equal to the predicted class.
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
            raise InputError(f"the rule {rule} leaves no random target among {len(ranked)} classes")
        order = numpy_generator(f"{seed}/{image}/random target").permutation(len(ranked)).tolist()
        return [next(label for label in order if label not in excluded)]
    if target == predicted:
        raise InputError(f"target class {target} is the predicted class of the image: choose another class")
    return [int(target)]
