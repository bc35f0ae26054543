"""The second order of CLEVER, for twice differentiable classifiers: the curvature of the margin and its bound."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.capacity import CPU_BYTES, Measure
from clever._internal.checks import require_int
from clever.bounds import formulas as bounds
from clever.bounds.curvature import box_curvature, cross_curvature, curvature_factor
from clever.bounds.eigenvalues import Eigenvalues, Solver
from clever.bounds.lanczos import Lanczos
from clever.classifier.hessian import Hessian
from clever.classifier.image_context import ImageContext, reference_classifier
from clever.classifier.margin import margins
from clever.classifier.smoothness import require_twice_differentiable
from clever.defenses.bpda import Defended
from clever.defenses.chain import Identity
from clever.errors import InputError
from clever.norms import Norm
from clever.sampling.maxima import BatchMaxima
from clever.settings import Convention, Reference, Settings

NORMS = tuple(Norm)
CURVATURES = tuple(product(Convention, NORMS))
RESIDUAL, UNCONVERGED, PRODUCTS = range(len(CURVATURES), len(CURVATURES) + 3)
"""The columns after the curvatures."""


@dataclass(frozen=True)
class SecondOrder:
    """The curvature of the margin, from the smallest eigenvalue of its Hessian; its maximum over the ball is M.

    For p = 2, M is the maximum of (-lambda_min(H(x)))_+ over the ball of radius R around x0, and no perturbation of L2
    norm below min((-b + sqrt(b^2 + 2 M g)) / M, R) changes the class, b = ``||grad g(x0)||_2`` (arXiv 1810.08640). The
    end point estimated for M makes the score an estimate. Units: [0,1] pixels.

    For L1 and Linf the curvature along directions of unit norm is NP-hard to find
    (`clever.bounds.formulas.second_order`). An upper bound of it keeps the theorem true at the price of a score that
    can be too small: M_2 for L1, dim * M_2 for Linf, which can make the score sqrt(dim) times too small. Up to
    ``dense_hessian_max_dim`` dimensions the Hessian itself is formed at each point, with as many more products, and
    what `clever.bounds.curvature.cross_curvature` and `box_curvature` find from its entries counts where it is less.
    Beyond that nothing better is used. 0 forms none.

    The theorem speaks of one function with a Hessian. `check` refuses any other network by the name of the module;
    behind a transformation t with BPDA, the Hessian of f at t(x) is not one of f(t(x)), so that the theorem covers no
    defense of this kind. What it covers: a defense that is smooth itself, without BPDA; and f alone around the image
    t(x0).

    ``solver``: `clever.Lanczos`, of which theta - residual counts as the eigenvalue, the sound side; or, for
    comparison, `clever.bounds.power_iteration.PowerIteration`, whose estimate counts as it is, as in the authors' code.
    All points share one random start vector, drawn from ``seed``: with Lanczos no result depends, but for rounding, on
    how the points are split. With power iteration it does: a batch stops as a whole.
    """

    solver: Solver = field(default_factory=Lanczos)
    dense_hessian_max_dim: int = 128
    seed: int = 1215

    def __post_init__(self) -> None:
        require_int("dense_hessian_max_dim", self.dense_hessian_max_dim, 0)

    @property
    def name(self) -> str:
        """As the paper says it."""
        return "second_order"

    @property
    def segments(self) -> bool:
        """As the settings say: the theorem speaks of the ball."""
        return False

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """`InputError` for a network that is not twice differentiable, with the module's name where there is one, and
        for a reference that takes g and its gradient from another function than the curvature."""
        require_twice_differentiable(network, example)
        mixed = isinstance(network, Defended) and not isinstance(network.defense, Identity)
        if mixed and reference_classifier(network, settings) is not network:
            raise InputError(
                f"reference is {settings.reference}: g and its gradient would be those of f, the curvature that of "
                f"f(t(x)), t = {network.defense}, and the theorem speaks of one function. Choose "
                f"{Reference.DEFENDED}, or score the network alone"
            )

    def measure(
        self, network: nn.Module, image: Float[Tensor, "..."], context: ImageContext, targets: Sequence[int]
    ) -> Measure:
        """Columns: the curvature by each `Convention` in each norm; the eigenvalue's residual, whether it did not
        converge (0 or 1); all products."""

        def curvatures(points: Tensor) -> Tensor:
            dim = points[0].numel()
            start = torch.randn(dim, generator=torch.Generator().manual_seed(self.seed))
            vectors = self.solver.max_vectors + (dim if dim <= self.dense_hessian_max_dim else 0)
            most = max(1, CPU_BYTES // (dim * points.element_size() * vectors))
            return torch.cat([each_target(part, start) for part in points.split(most)])

        def each_target(points: Tensor, start: Tensor) -> Tensor:
            return torch.stack([of_target(points, start, target) for target in targets], dim=1)

        def of_target(points: Tensor, start: Tensor, target: int) -> Tensor:
            def margin(images: Tensor) -> Tensor:
                return margins(network(images), context.predicted, [target])[:, 0]

            found = self.solver(margin, points, start)
            if points[0].numel() > self.dense_hessian_max_dim:
                return _columns(found, points[0].numel())
            return _columns(found, points[0].numel(), Hessian(margin, points).matrices())

        return curvatures

    def column(self, norm: Norm, settings: Settings) -> int:
        """The curvature by the settings' convention in this norm."""
        return CURVATURES.index((settings.curvature, norm))

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min((-b + sqrt(b^2 + 2 M g)) / M, R)."""
        slope = context.gradients[target][norm.dual]
        return float(bounds.second_order(context.margins[target], slope, maximum, radius))

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """Hessian-vector products a point (mean), share of points not converged, largest residual."""
        mean = maxima.mean[:, target].mean(0, dtype="float64")
        return {
            "products": float(mean[PRODUCTS]),
            "unconverged": float(mean[UNCONVERGED]),
            "residual": float(maxima.value[:, target, RESIDUAL, 0].max()),
        }


def _columns(
    found: Eigenvalues, dim: int, hessians: Float[Tensor, "point dim dim"] | None = None
) -> Float[Tensor, "point column"]:
    curvatures = {(way, norm): way.curvature(found.lower) * curvature_factor(norm, dim) for way, norm in CURVATURES}
    products = found.products
    if hessians is not None:
        products = products + dim
        for norm, bound in ((Norm.L1, cross_curvature), (Norm.LINF, box_curvature)):
            at = Convention.NEGATIVE_PART, norm
            curvatures[at] = torch.minimum(curvatures[at], bound(hessians))
    rest = [found.residual, (~found.converged).to(found.value), products.to(found.value)]
    return torch.stack([*curvatures.values(), *rest], dim=1)
