"""The second order of CLEVER, for twice differentiable classifiers: the curvature of the margin and its bound."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever import bounds
from clever.capacity import CPU_BYTES, Measure
from clever.curvature import Convention, curvature_factor
from clever.eigenvalues import Eigenvalues, Solver
from clever.lanczos import Lanczos
from clever.margin import margins
from clever.maxima import BatchMaxima
from clever.norms import Norm
from clever.settings import Settings
from clever.smoothness import require_twice_differentiable
from clever.subjects import Subject

CURVATURES = tuple(Convention)
RESIDUAL, UNCONVERGED, PRODUCTS = range(len(CURVATURES), len(CURVATURES) + 3)
"""The columns after the curvatures."""


@dataclass(frozen=True)
class SecondOrder:
    """The curvature of the margin, from the smallest eigenvalue of its Hessian; its maximum over the ball is M.

    For p = 2, M is the maximum of (-lambda_min(H(x)))_+ over the ball of radius R around x0, and no perturbation of L2
    norm below min((-b + sqrt(b^2 + 2 M g)) / M, R) changes the class, b = ``||grad g(x0)||_2`` (arXiv 1810.08640). The
    end point estimated for M makes the score an estimate. For L1 and Linf the same eigenvalues, over the ball of that
    norm, are multiplied by `clever.curvature.curvature_factor`, which keeps the theorem true at the price of a score
    that can be too small: for Linf by a factor of up to the square root of the dimension. Units: [0,1] pixels.

    The theorem speaks of a function with a Hessian. `check` refuses any other network by the name of the module; behind
    a transformation t with BPDA, the Hessian of f at t(x) is not one of f(t(x)), so that the theorem covers no defense
    of this kind. What it covers: a defense that is smooth itself, without BPDA; and f alone around the image t(x0).

    ``solver``: `clever.Lanczos` or, for comparison, `clever.PowerIteration`. All points share one random start vector,
    drawn from ``seed``, so that no result depends on how the points are split.
    """

    solver: Solver = field(default_factory=Lanczos)
    seed: int = 1215

    @property
    def name(self) -> str:
        """As the paper says it."""
        return "second_order"

    @property
    def segments(self) -> bool:
        """As the settings say: the theorem speaks of the ball."""
        return False

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"]) -> None:
        """`InputError` for a network that is not twice differentiable, with the module's name."""
        require_twice_differentiable(network, example)

    def measure(
        self, network: nn.Module, image: Float[Tensor, "..."], subject: Subject, targets: Sequence[int]
    ) -> Measure:
        """Columns: the curvature by each `Convention`, the residual, whether not converged (0 or 1), the products."""

        def curvatures(points: Tensor) -> Tensor:
            start = torch.randn(points[0].numel(), generator=torch.Generator().manual_seed(self.seed))
            vectors = points[0].numel() * points.element_size() * self.solver.max_vectors
            return torch.cat([each_target(part, start) for part in points.split(max(1, CPU_BYTES // vectors))])

        def each_target(points: Tensor, start: Tensor) -> Tensor:
            found = [
                self.solver(lambda x, j=target: margins(network(x), subject.predicted, [j])[:, 0], points, start)  # type: ignore[misc]
                for target in targets
            ]
            return torch.stack([_columns(eigenvalues) for eigenvalues in found], dim=1)

        return curvatures

    def column(self, norm: Norm, settings: Settings) -> int:
        """The curvature by the settings' convention, whatever the norm."""
        return CURVATURES.index(settings.curvature)

    def bound(self, subject: Subject, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min((-b + sqrt(b^2 + 2 M g)) / M, R), with M = maximum * curvature_factor."""
        curvature = maximum * curvature_factor(norm, subject.dimension)
        slope = subject.gradients[target][norm.dual]
        return float(bounds.second_order(subject.margins[target], slope, curvature, radius))

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """Hessian-vector products a point (mean), share of points not converged, largest residual."""
        mean = maxima.mean[:, target].mean(0, dtype="float64")
        return {
            "products": float(mean[PRODUCTS]),
            "unconverged": float(mean[UNCONVERGED]),
            "residual": float(maxima.value[:, target, RESIDUAL, 0].max()),
        }


def _columns(found: Eigenvalues) -> Float[Tensor, "point column"]:
    curvatures = [convention.of(found.value) for convention in CURVATURES]
    rest = [found.residual, (~found.converged).to(found.value), found.products.to(found.value)]
    return torch.stack([*curvatures, *rest], dim=1)
