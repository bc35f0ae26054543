"""Projected ascent of an order's measure on smooth networks, from the sampled points with the largest values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.broadcast import per_row
from clever._internal.capacity import Capacity
from clever.attacks.projection import project
from clever.bounds.first_order import FirstOrder, Order
from clever.bounds.second_order import SecondOrder
from clever.classifier.hessian import Margin, start_vectors
from clever.classifier.image_context import ImageContext
from clever.classifier.margin import margins
from clever.classifier.smoothness import require_twice_differentiable
from clever.errors import InputError
from clever.norms import Norm
from clever.sampling.maxima import BallSampler, BatchMaxima
from clever.settings import Settings

STARTS = 8
"""The number of ascents; they start at the largest points of the batches with the largest maxima."""
KRYLOV = 6
"""Hessian-vector products per step that update the direction of the curvature."""
AT_ONCE = 32

Points = Float[Tensor, "row ..."]
Objective = Callable[[Points], tuple[Float[Tensor, " row"], Points]]
"""The value at each point and its gradient."""


@dataclass(frozen=True)
class Peak:
    """``value``: the largest value of the requested column. ``gradients``: the cost in gradients; a Hessian-vector
    product and the derivative of one count as one each."""

    value: float
    gradients: int


def check(order: Order, network: nn.Module, example: Float[Tensor, "1 ..."], settings: Settings) -> None:
    """`InputError` if the settings request an ascent for which the network or the order has no derivatives.

    If the margin is piecewise linear, as with ReLU, the gradient of ``||grad g||`` is zero almost everywhere.
    """
    if not settings.ascent:
        return
    if not isinstance(order, FirstOrder | SecondOrder):
        raise InputError(f"ascent is {settings.ascent}: only first and second order have one, not {order.name}")
    try:
        require_twice_differentiable(network, example)
    except InputError as error:
        raise InputError(
            f"ascent is {settings.ascent}: it needs second derivatives, which this network does not have ({error}). "
            "With ascent=0 the maximum is that of the sampled points"
        ) from error


def peak(
    network: nn.Module,
    ball_sampler: BallSampler,
    context: ImageContext,
    label: int,
    order: Order,
    norm: Norm,
    settings: Settings,
    maxima: BatchMaxima,
) -> Peak:
    """The largest value of the norm's column found by ``settings.ascent`` steps of projected ascent.

    Each of `STARTS` ascents starts at the largest sampled point of a batch and maximises ``||grad g||_q``, or
    -lambda_min for the second order, within the ball and, if the settings clip points, [0,1]. Guarantee: up to
    rounding, the value is at least the largest at the starts, and it is attained at a point of that set. ``maxima``: of
    this target class alone. ``network``: the network that gets the points; frozen and twice differentiable (`check`).
    Deterministic.
    """
    column, ball = order.column(norm, settings), ball_sampler.ball

    def within(points: Points) -> Points:
        radius = points.new_full((len(points),), ball.radius)
        nearest = ball_sampler.centre + project(points - ball_sampler.centre, ball.norm, radius)
        # x0 is in the box, so clipping does not leave the ball.
        return nearest.clamp(0, 1) if ball_sampler.clip else nearest

    def margin(points: Points) -> Tensor:
        return margins(network(points), context.predicted, [label])[:, 0]

    starts = within(_largest(ball_sampler, maxima, column))
    objective, cost = _objective(order, margin, norm, starts)
    length = ball.radius * (ball_sampler.centre.numel() ** 0.5 if ball.norm is Norm.LINF else 1.0)
    points = torch.cat([starts, ascend(objective, starts, within, settings.ascent, length)])
    measure = order.measure(network, ball_sampler.centre, context, [label])
    values = Capacity.estimate(measure, ball_sampler.centre).run(measure, points)[:, 0, column]
    return Peak(float(values.max()), len(starts) * (settings.ascent * cost + 2))


def ascend(
    objective: Objective, starts: Points, within: Callable[[Points], Points], steps: int, length: float
) -> Points:
    """The best of ``steps`` points for each start, including the start itself.

    ``within``: projection onto a convex set, whose size in L2 is ``length``; all points are in it. Steps follow the
    gradient at the best point so far; they grow after success and halve after failure.
    """
    x, best, slope = starts, starts, torch.zeros_like(starts)
    highest, rate = x.new_full((len(x),), -torch.inf), x.new_full((len(x),), 0.5)
    for _ in range(steps):
        value, gradient = objective(x)
        higher = value > highest
        best, slope = (torch.where(per_row(higher, x), new, old) for new, old in ((x, best), (gradient, slope)))
        highest = torch.where(higher, value, highest)
        rate = torch.where(higher, (rate * 1.5).clamp(max=1), rate / 2)
        factor = rate * length / Norm.L2.of(slope).clamp(min=torch.finfo(x.dtype).tiny)
        x = within(best + slope * per_row(factor, x))
    return best


def _largest(ball_sampler: BallSampler, maxima: BatchMaxima, column: int) -> Points:
    """The points of the largest batch maxima, drawn again from their indices."""
    points = []
    for batch in np.argsort(-maxima.value[:, 0, column, 0], kind="stable")[:STARTS].tolist():
        part, row = divmod(int(maxima.index[batch, 0, column, 0]), AT_ONCE)
        drawn, _ = next(islice(ball_sampler.points(range(batch, batch + 1), AT_ONCE), part, None))
        points.append(drawn[row].clone())
    return torch.stack(points)


def _objective(order: Order, margin: Margin, norm: Norm, starts: Points) -> tuple[Objective, int]:
    """The objective, and the number of gradients per step."""
    if isinstance(order, SecondOrder):
        drawn = torch.randn(KRYLOV, starts[0].numel(), generator=torch.Generator().manual_seed(order.seed))
        return _Curvature(margin, [start_vectors(starts, row) for row in drawn]), KRYLOV + 2
    return partial(_gradient_norm, margin, norm.dual), 2


def _gradient_norm(margin: Margin, norm: Norm, points: Points) -> tuple[Tensor, Points]:
    """||grad g||_q and its gradient."""
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(margin(points).sum(), points, create_graph=True)
        value = norm.of(gradient)
        (slope,) = torch.autograd.grad(value.sum(), points)
    return value.detach(), slope


class _Curvature:
    """-v'Hv and its gradient, where the unit vector v maximises it in the Krylov space of the previous v.

    If v is the eigenvector, this is -lambda_min and its gradient; otherwise it is less. ``drawn``: random vectors. The
    first is the initial v; the others replace directions of the Krylov space that vanish in rounding, which happens
    when v is already an eigenvector.
    """

    def __init__(self, margin: Margin, drawn: list[Float[Tensor, "row dim"]]) -> None:
        self.margin, self.vectors, self.drawn = margin, drawn[0], drawn

    def __call__(self, points: Points) -> tuple[Tensor, Points]:
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.margin(points).sum(), points, create_graph=True)

            def hessian_product(vectors: Tensor, create_graph: bool) -> Tensor:
                (product,) = torch.autograd.grad(
                    gradient, points, vectors.view_as(points), retain_graph=True, create_graph=create_graph
                )
                return product.flatten(1)

            self.vectors = self._smallest_ritz(partial(hessian_product, create_graph=False))
            value = -(self.vectors * hessian_product(self.vectors, create_graph=True)).sum(1)
            (slope,) = torch.autograd.grad(value.sum(), points)
        return value.detach(), slope

    def _smallest_ritz(self, product: Callable[[Tensor], Tensor]) -> Tensor:
        """The smallest Ritz vector of the Krylov space of the current vectors."""
        basis, images = [self.vectors], []
        while True:
            images.append(product(basis[-1]))
            if len(images) == min(KRYLOV, self.vectors.shape[1]):
                break
            rows = torch.stack(basis, 1)
            rest, random = (_orthogonal(vectors, rows) for vectors in (images[-1], self.drawn[len(basis)]))
            vanished = Norm.L2.of(rest) <= torch.finfo(rest.dtype).eps ** 0.5 * Norm.L2.of(images[-1])
            basis.append(_unit(torch.where(vanished.unsqueeze(1), random, rest)))
        rows, hessian = torch.stack(basis, 1), torch.stack(images, 1)
        projected = rows @ hessian.mT
        ritz = torch.linalg.eigh((projected + projected.mT) / 2).eigenvectors[:, :, 0]
        return _unit((ritz.unsqueeze(1) @ rows).squeeze(1))


def _orthogonal(vectors: Float[Tensor, "row dim"], basis: Float[Tensor, "row basis dim"]) -> Float[Tensor, "row dim"]:
    """The vectors minus their projections onto the rows of an orthonormal basis."""
    for _ in range(2):  # twice, against rounding errors
        vectors = vectors - ((basis @ vectors.unsqueeze(2)).mT @ basis).squeeze(1)
    return vectors


def _unit(vectors: Float[Tensor, "row dim"]) -> Float[Tensor, "row dim"]:
    return vectors / Norm.L2.of(vectors).clamp(min=1e-30).unsqueeze(1)
