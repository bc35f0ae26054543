"""The interface of CLEVER orders, and the first order."""

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
    """An order of CLEVER: a measure at points, the column of it that each norm uses, and the closed-form bound.

    An order is a frozen dataclass; its repr determines its numbers.
    """

    @property
    def name(self) -> str:
        """The name in tables."""
        ...

    @property
    def segments(self) -> bool:
        """Whether the theorem needs points on the segments from t(x0) to t(x), regardless of the settings."""
        ...

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """Raise `InputError` if this order is not defined for the network with these settings; before any sampling."""
        ...

    def measure(self, network: nn.Module, image: Image, context: ImageContext, targets: Sequence[int]) -> Measure:
        """The measure at points around this image: maps points to (batch, target, column).

        ``network``: the network that gets the points; on segments f itself (`clever.defenses.bpda.BareNetwork`).
        """
        ...

    def column(self, norm: Norm, settings: Settings) -> int:
        """The column whose maximum over the ball the bound uses."""
        ...

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """The score, in [0,1]-pixel units, given the (estimated) maximum of that column over the ball."""
        ...

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """Diagnostics of one target's score (by position), for its row in a table."""
        ...


@dataclass(frozen=True)
class FirstOrder:
    """The dual norm of the margin's gradient; its maximum over the ball is a local Lipschitz constant L.

    Defined for every network that autograd differentiates. For a `Defended` network with BPDA this is CLEVER-BPDA,
    which does not estimate a lower bound on the distance of the input: the gradient is that of f at t(x), so the score
    estimates how far the *transformed* image has to move from t(x0), not the input (`clever.Gauge`).

    The bound is min(g(x0) / L, R), in the norm dual to the gradient's and in [0,1]-pixel units (Weng et al. 2018, arXiv
    1801.10578, theorem 3.2). No smaller perturbation changes the class if L is the true maximum; here it is estimated.
    """

    @property
    def name(self) -> str:
        """The name in tables."""
        return "first_order"

    @property
    def segments(self) -> bool:
        """False: the settings decide."""
        return False

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """Accepts every network; the first gradient raises `InputError` if the logits are not differentiable."""

    def measure(self, network: nn.Module, image: Image, context: ImageContext, targets: Sequence[int]) -> Measure:
        """All three norms of each gradient, which cost little compared with the gradient itself."""

        def norms(points: Tensor) -> Tensor:
            return gradient_norms(network, points, context.predicted, targets, NORMS)

        return norms

    def column(self, norm: Norm, settings: Settings) -> int:
        """The column of the dual norm."""
        return NORMS.index(norm.dual)

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min(g / L, R)."""
        return bounds.first_order(context.margins[target], maximum, radius)

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """Empty: the first order has no diagnostics."""
        return {}
