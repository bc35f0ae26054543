"""The second order of CLEVER, for twice differentiable classifiers: the margin's curvature and the bound from it."""

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
    norm below min((-b + sqrt(b^2 + 2 M g)) / M, R) changes the class, with b = ``||grad g(x0)||_2`` (arXiv 1810.08640).
    M is estimated by an end point, so the score is an estimate. Units: [0,1] pixels.

    For L1 and Linf the curvature along directions of unit norm is NP-hard to compute
    (`clever.bounds.formulas.second_order`). An upper bound on it keeps the theorem valid but can make the score too
    small: M_2 for L1, and dim * M_2 for Linf, with a score up to sqrt(dim) times too small. Up to
    ``dense_hessian_max_dim`` dimensions the full Hessian is computed at each point, with dim additional products, and
    the bounds `clever.bounds.curvature.cross_curvature` and `box_curvature` are used where they are smaller.
    ``dense_hessian_max_dim=0`` disables this.

    The theorem requires a function with a Hessian; `check` rejects other networks and names the module. Behind a
    transformation t with BPDA, the Hessian of f at t(x) is not that of f(t(x)), so the theorem does not apply. It does
    apply to a smooth defense without BPDA, and to f alone around the image t(x0).

    ``solver``: `clever.Lanczos`, with theta - residual as a conservative eigenvalue; or, for comparison,
    `clever.bounds.power_iteration.PowerIteration`, with the plain estimate, as in the authors' code. All points share
    one random start vector, drawn from ``seed``. Up to rounding, results with Lanczos do not depend on how the points
    are split into batches; with power iteration they do, because a batch stops as a whole.
    """

    solver: Solver = field(default_factory=Lanczos)
    dense_hessian_max_dim: int = 128
    seed: int = 1215

    def __post_init__(self) -> None:
        require_int("dense_hessian_max_dim", self.dense_hessian_max_dim, 0)

    @property
    def name(self) -> str:
        """The name in tables."""
        return "second_order"

    @property
    def segments(self) -> bool:
        """False: the settings decide."""
        return False

    def check(self, network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings) -> None:
        """Raise `InputError` for a network that is not twice differentiable, with the module's name if known, and for a
        reference that takes g and its gradient from a different function than the curvature."""
        require_twice_differentiable(network, example)
        defended = isinstance(network, Defended) and not isinstance(network.defense, Identity)
        if defended and reference_classifier(network, settings) is not network:
            raise InputError(
                f"reference is {settings.reference}: g and its gradient would be those of f, but the curvature that of "
                f"f(t(x)), t = {network.defense}; the theorem requires the same function. Choose "
                f"{Reference.DEFENDED}, or score the network alone"
            )

    def measure(
        self, network: nn.Module, image: Float[Tensor, "..."], context: ImageContext, targets: Sequence[int]
    ) -> Measure:
        """Columns: the curvature by each `Convention` in each norm; the eigenvalue's residual; 1 if the solver did not
        converge, else 0; the number of products."""

        def curvatures(points: Tensor) -> Tensor:
            dim = points[0].numel()
            start = torch.randn(dim, generator=torch.Generator().manual_seed(self.seed))
            vectors = self.solver.max_vectors + (dim if dim <= self.dense_hessian_max_dim else 0)
            chunk = max(1, CPU_BYTES // (dim * points.element_size() * vectors))
            return torch.cat([all_targets(part, start) for part in points.split(chunk)])

        def all_targets(points: Tensor, start: Tensor) -> Tensor:
            return torch.stack([one_target(points, start, target) for target in targets], dim=1)

        def one_target(points: Tensor, start: Tensor, target: int) -> Tensor:
            def margin(images: Tensor) -> Tensor:
                return margins(network(images), context.predicted, [target])[:, 0]

            eigenvalues = self.solver(margin, points, start)
            if points[0].numel() > self.dense_hessian_max_dim:
                return _columns(eigenvalues, points[0].numel())
            return _columns(eigenvalues, points[0].numel(), Hessian(margin, points).matrices())

        return curvatures

    def column(self, norm: Norm, settings: Settings) -> int:
        """The column of the curvature in this norm by the settings' convention."""
        return CURVATURES.index((settings.curvature, norm))

    def bound(self, context: ImageContext, target: int, norm: Norm, maximum: float, radius: float) -> float:
        """min((-b + sqrt(b^2 + 2 M g)) / M, R)."""
        slope = context.gradients[target][norm.dual]
        return float(bounds.second_order(context.margins[target], slope, maximum, radius))

    def diagnostics(self, maxima: BatchMaxima, target: int) -> dict[str, float]:
        """Mean Hessian-vector products per point, share of points that did not converge, largest residual."""
        mean = maxima.mean[:, target].mean(0, dtype="float64")
        return {
            "products": float(mean[PRODUCTS]),
            "unconverged": float(mean[UNCONVERGED]),
            "residual": float(maxima.value[:, target, RESIDUAL, 0].max()),
        }


def _columns(
    eigenvalues: Eigenvalues, dim: int, hessians: Float[Tensor, "point dim dim"] | None = None
) -> Float[Tensor, "point column"]:
    lower, dtype = eigenvalues.lower, eigenvalues.value.dtype
    curvatures = {
        (convention, norm): convention.curvature(lower) * curvature_factor(norm, dim) for convention, norm in CURVATURES
    }
    products = eigenvalues.products
    if hessians is not None:
        products = products + dim
        for norm, bound in ((Norm.L1, cross_curvature), (Norm.LINF, box_curvature)):
            key = Convention.NEGATIVE_PART, norm
            curvatures[key] = torch.minimum(curvatures[key], bound(hessians))
    diagnostics = [eigenvalues.residual, (~eigenvalues.converged).to(dtype), products.to(dtype)]
    return torch.stack([*curvatures.values(), *diagnostics], dim=1)
