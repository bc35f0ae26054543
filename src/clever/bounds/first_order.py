"""What an order of CLEVER measures at the sampled points, and which bound follows from its maximum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.capacity import Measure
from clever.bounds import formulas as bounds
from clever.classifier.image_context import ImageContext
from clever.classifier.margin import gradient_norms
from clever.norms import Norm
from clever.sampling.maxima import BatchMaxima
from clever.settings import Settings

NORMS = tuple(Norm)
Image = Float[Tensor, "channel height width"]


class Order(Protocol):
    """First or second order: a measure, which of its columns serves a norm, and the closed formula.

    An order is a frozen dataclass: its repr says all that decides its numbers.
    """

    @property
    def name(self) -> str:
        """For tables."""
        ...

    @property
    def segments(self) -> bool:
        """Whether its theorem needs points on the segments from t(x0) to t(x), whatever the settings say."""
        ...

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """`InputError` for a network, or settings with it, that this order is not defined for; before any sampling."""
        ...

    def measure(self, network: nn.Module, image: Image, context: ImageContext, targets: Sequence[int]) -> Measure:
        """What is measured at points, around this image: (batch, target, column).

        ``network``: what the points go through, on segments f itself (`clever.defenses.bpda.BareNetwork`).
        """
        ...

    def column(self, norm: Norm, settings: Settings) -> int:
        """The column whose maximum over the ball the bound needs."""
        ...

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """The score, in [0,1]-pixel units, given the (estimated) maximum of that column over the ball."""
        ...

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """What else the measured columns tell of one target's score (by position), for its row in a table."""
        ...


@dataclass(frozen=True)
class FirstOrder:
    """The dual norm of the margin's gradient; its maximum over the ball is a local Lipschitz constant L.

    Defined for every network that autograd differentiates; of a `Defended` network with BPDA, CLEVER-BPDA, which is no
    estimate of a lower bound: the gradient is that of f at t(x), so that what is estimated is min(g / max ||grad f||),
    how far from t(x0) what f *sees* has to move, not how far the input has to (`clever.Gauge`).

    The bound is min(g(x0) / L, R), in the norm whose dual is taken and in [0,1]-pixel units (Weng et al. 2018, arXiv
    1801.10578, theorem 3.2): no perturbation below it changes the class if L is the true maximum, which is estimated.
    """

    @property
    def name(self) -> str:
        """As the paper says it."""
        return "first_order"

    @property
    def segments(self) -> bool:
        """As the settings say."""
        return False

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """Nothing is refused here; `clever.classifier.margin` refuses what cannot be differentiated at all."""

    def measure(self, network: nn.Module, image: Image, context: ImageContext, targets: Sequence[int]) -> Measure:
        """All three norms of each gradient: they cost next to nothing beside the gradient itself."""

        def norms(points: Tensor) -> Tensor:
            return gradient_norms(network, points, context.predicted, targets, NORMS)

        return norms

    def column(self, norm: Norm, settings: Settings) -> int:
        """The dual norm's."""
        return NORMS.index(norm.dual)

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min(g / L, R)."""
        return bounds.first_order(context.margins[target], maximum, radius)

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """None."""
        return {}
