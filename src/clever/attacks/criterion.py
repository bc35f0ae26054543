"""Random defenses under attack: which one is random, and how success is counted among its draws."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever._internal.checks import is_number, require_int
from clever._internal.types import Images
from clever.defenses.bpda import Defended, transformed
from clever.defenses.expectation import TOGETHER, Expectation
from clever.defenses.random import Random
from clever.errors import InputError

HELD_OUT, UNSEEN = 1_000_000, 2_000_000
"""The first draw of those that count success, and of those that nothing of the search depends on: so far up that a
cell's own draws are none of them, and the same for all cells with one random transformation."""


@dataclass(frozen=True)
class SuccessCriterion:
    """When an image counts as adversarial for a random defense: more than the share ``threshold`` of ``draws`` fresh
    draws, each a classifier by itself, take it for the target class. One half: the majority.
    `InputError` for no draws and a threshold outside [0, 1).
    """

    draws: int = 50
    threshold: float = 0.5

    def __post_init__(self) -> None:
        require_int("attack.draws", self.draws, 1, UNSEEN - HELD_OUT)
        if not is_number(self.threshold) or not 0 <= self.threshold < 1:
            raise InputError(
                f"attack.threshold is {self.threshold!r}: it must be a share from 0 up and less than 1, of which an "
                "adversarial image must have more"
            )


def randomness(network: nn.Module) -> Random | None:
    """The random transformation of which the network shows some draws, or one; None where nothing is random."""
    defense = network.defense if isinstance(network, Defended) else None
    if isinstance(defense, Expectation):
        return defense.transformation
    return defense if isinstance(defense, Random) and defense.drawn(0) != defense.drawn(1) else None


class HeldOutDraws:
    """Fresh draws of a random defense, from the draw ``first`` on, that decide on images one by one.

    ``forwards``: the passes of each row that they have taken.
    """

    def __init__(
        self, network: Defended, transformation: Random, criterion: SuccessCriterion, first: int = HELD_OUT
    ) -> None:
        self.network, self.criterion, self.forwards = network.network, criterion, 0
        self.views = [transformation.drawn(first + index) for index in range(criterion.draws)]

    def rate(self, images: Images, targets: Tensor) -> Float[Tensor, " row"]:
        """The share of the draws whose classifier takes each image for its target class, with finite logits."""
        votes = images.new_zeros(len(images))
        with torch.no_grad():
            for start in range(0, len(self.views), TOGETHER):
                views = self.views[start : start + TOGETHER]
                logits = self.network(torch.cat([transformed(images, view) for view in views]))
                right: Bool[Tensor, " view"] = logits.isfinite().all(1) & (
                    logits.argmax(1) == targets.repeat(len(views))
                )
                votes += right.view(len(views), -1).sum(0)
        self.forwards += len(self.views)
        return votes / len(self.views)

    def accepted(self, rate: Float[Tensor, " row"]) -> Bool[Tensor, " row"]:
        """Whether that is enough."""
        return rate > self.criterion.threshold
