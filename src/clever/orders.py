"""What each order of CLEVER measures at the sampled points, and which bound follows from its maximum."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from clever import bounds
from clever.capacity import Measure
from clever.margin import gradient_norms
from clever.norms import Norm

NORMS = tuple(Norm)


class Order(Protocol):
    """First or second order: a measure, where a norm's values stand in it, and the closed formula."""

    name: str

    def measure(self, network: nn.Module, predicted: int, targets: Sequence[int]) -> Measure:
        """The quantity whose maximum over the ball the bound needs."""
        ...

    def column(self, norm: Norm) -> int:
        """The place on the measure's last axis of the values that serve ``norm``."""
        ...

    def bound(self, margin: float, end_point: float, radius: float) -> float:
        """The score, in [0,1]-pixel units, given the estimated maximum."""
        ...


class FirstOrder:
    """The dual norm of the margin's gradient; its maximum is a local Lipschitz constant."""

    name = "first_order"

    def measure(self, network: nn.Module, predicted: int, targets: Sequence[int]) -> Measure:
        """All three norms of each gradient: they cost next to nothing beside the gradient itself."""

        def norms(points: Tensor) -> Tensor:
            return gradient_norms(network, points, predicted, targets, NORMS)

        return norms

    def column(self, norm: Norm) -> int:
        """The dual norm's."""
        return NORMS.index(norm.dual)

    def bound(self, margin: float, end_point: float, radius: float) -> float:
        """min(g / L, R)."""
        return bounds.first_order(margin, end_point, radius)
