"""Attack success behind a random defense: the share of fresh draws that predict the target class."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever._internal.checks import is_number, require_int
from clever._internal.types import Images
from clever.defenses.bpda import Defended, apply_transformation
from clever.defenses.expectation import DRAWS_PER_PASS, Expectation
from clever.defenses.random import Random
from clever.errors import InputError

HELD_OUT, UNSEEN = 1_000_000, 2_000_000
"""Index of the first draw that decides success, and of the first that is only reported. They are large enough not to
overlap with the draws a network is attacked on, and equal for all experiments with the same transformation."""


@dataclass(frozen=True)
class SuccessCriterion:
    """When an image counts as adversarial behind a random defense.

    More than the share ``threshold`` of ``draws`` fresh draws, each a classifier of its own, must predict the target
    class; 0.5 requires a majority. `InputError` for ``draws`` below 1 and a threshold outside [0, 1).
    """

    draws: int = 50
    threshold: float = 0.5

    def __post_init__(self) -> None:
        require_int("attack.draws", self.draws, 1, UNSEEN - HELD_OUT)
        if not is_number(self.threshold) or not 0 <= self.threshold < 1:
            raise InputError(
                f"attack.threshold is {self.threshold!r}: it must be at least 0 and less than 1, because the share of "
                "draws must exceed it"
            )


def random_transformation(network: nn.Module) -> Random | None:
    """The random transformation of which the network applies one draw or averages several; None where nothing is
    random."""
    defense = network.defense if isinstance(network, Defended) else None
    if isinstance(defense, Expectation):
        return defense.transformation
    return defense if isinstance(defense, Random) and defense.drawn(0) != defense.drawn(1) else None


class HeldOutDraws:
    """Fresh draws of a random defense, starting at index ``first``; each classifies an image on its own.

    ``forwards``: the number of forward passes per row so far.
    """

    def __init__(
        self, network: Defended, transformation: Random, criterion: SuccessCriterion, first: int = HELD_OUT
    ) -> None:
        self.network, self.criterion, self.forwards = network.network, criterion, 0
        self.views = [transformation.drawn(first + index) for index in range(criterion.draws)]

    def rate(self, images: Images, targets: Tensor) -> Float[Tensor, " row"]:
        """The share of the draws whose classifier predicts each image's target class, with finite logits."""
        votes = images.new_zeros(len(images))
        with torch.no_grad():
            for start in range(0, len(self.views), DRAWS_PER_PASS):
                views = self.views[start : start + DRAWS_PER_PASS]
                logits = self.network(torch.cat([apply_transformation(images, view) for view in views]))
                hits: Bool[Tensor, " view"] = logits.isfinite().all(1) & (
                    logits.argmax(1) == targets.repeat(len(views))
                )
                votes += hits.view(len(views), -1).sum(0)
        self.forwards += len(self.views)
        return votes / len(self.views)

    def accepted(self, rate: Float[Tensor, " row"]) -> Bool[Tensor, " row"]:
        """Whether the share exceeds the criterion's threshold."""
        return rate > self.criterion.threshold
