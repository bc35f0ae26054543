"""Ascent of what an order measures, on smooth networks: from the largest of the sampled points to larger values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.capacity import Capacity
from clever.attacks.projection import projected
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
"""The batches with the largest maxima, whose points the ascent starts from."""
KRYLOV = 6
"""Hessian-vector products a step, by which the curvature's direction follows the point."""
AT_ONCE = 32

Points = Float[Tensor, "row ..."]
Climb = Callable[[Points], tuple[Float[Tensor, " row"], Points]]
"""A value at each point, and its gradient there."""


@dataclass(frozen=True)
class Peak:
    """``value``: the largest value of the column that was asked for. ``gradients``: what it has cost, in gradients,
    a product with the Hessian or a derivative of one counting as one more."""

    value: float
    gradients: int


def check(order: Order, network: nn.Module, example: Float[Tensor, "1 ..."], settings: Settings) -> None:
    """`InputError` where the settings ask for an ascent that the network or the order has no derivatives for.

    Where the margin is linear in pieces, as with ReLU, the gradient of ``||grad g||`` is zero almost everywhere.
    """
    if not settings.ascent:
        return
    if not isinstance(order, FirstOrder | SecondOrder):
        raise InputError(f"ascent is {settings.ascent}: {order.name} has none, first and second order have; 0 samples")
    try:
        require_twice_differentiable(network, example)
    except InputError as error:
        raise InputError(
            f"ascent is {settings.ascent}: it climbs by second derivatives, and this network has none to climb by "
            f"({error}). With ascent=0 the maximum is that of the sampled points"
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
    """The largest value of the norm's column that ``settings.ascent`` steps of projected ascent find.

    Each of `STARTS` ascents starts at a stored point, the largest of its batch, and goes up ``||grad g||_q``, of second
    order -lambda_min, within the ball and, where the settings say so, [0,1]. Guarantee: no less than the largest
    value at the starts, to rounding, and the value at a point of the set. ``maxima``: of this one target class.
    ``network``: what the points go through; frozen and twice differentiable (`check`). Deterministic.
    """
    column, ball = order.column(norm, settings), ball_sampler.ball

    def within(points: Points) -> Points:
        radius = points.new_full((len(points),), ball.radius)
        nearest = ball_sampler.centre + projected(points - ball_sampler.centre, ball.norm, radius)
        # x0 is in the box, so that this leads nowhere out of the ball
        return nearest.clamp(0, 1) if ball_sampler.clip else nearest

    def margin(points: Points) -> Tensor:
        return margins(network(points), context.predicted, [label])[:, 0]

    starts = within(_largest(ball_sampler, maxima, column))
    climb, passes = _climb(order, margin, norm, starts)
    length = ball.radius * (ball_sampler.centre.numel() ** 0.5 if ball.norm is Norm.LINF else 1.0)
    found = torch.cat([starts, ascend(climb, starts, within, settings.ascent, length)])
    measure = order.measure(network, ball_sampler.centre, context, [label])
    values = Capacity.estimate(measure, ball_sampler.centre).run(measure, found)[:, 0, column]
    return Peak(float(values.max()), len(starts) * (settings.ascent * passes + 2))


def ascend(climb: Climb, starts: Points, within: Callable[[Points], Points], steps: int, length: float) -> Points:
    """The best of ``steps`` points for each start, which is the first of them; all are in the set of ``within``.

    ``within``: onto a convex set, whose size in L2 is ``length``. A step along the gradient at the best point so far is
    longer after success and half as long after failure.
    """
    x, best, slope = starts, starts, torch.zeros_like(starts)
    highest, rate = x.new_full((len(x),), -torch.inf), x.new_full((len(x),), 0.5)
    for _ in range(steps):
        value, gradient = climb(x)
        higher = value > highest
        best, slope = (torch.where(_wide(higher, x), new, old) for new, old in ((x, best), (gradient, slope)))
        highest = torch.where(higher, value, highest)
        rate = torch.where(higher, (rate * 1.5).clamp(max=1), rate / 2)
        pace = rate * length / Norm.L2.of(slope).clamp(min=torch.finfo(x.dtype).tiny)
        x = within(best + slope * _wide(pace, x))
    return best


def _largest(ball_sampler: BallSampler, maxima: BatchMaxima, column: int) -> Points:
    """The stored points, drawn again."""
    points = []
    for batch in np.argsort(-maxima.value[:, 0, column, 0], kind="stable")[:STARTS].tolist():
        part, place = divmod(int(maxima.index[batch, 0, column, 0]), AT_ONCE)
        drawn, _ = next(islice(ball_sampler.points(range(batch, batch + 1), AT_ONCE), part, None))
        points.append(drawn[place].clone())
    return torch.stack(points)


def _climb(order: Order, margin: Margin, norm: Norm, starts: Points) -> tuple[Climb, int]:
    """What is climbed, and how many gradients a step takes."""
    if isinstance(order, SecondOrder):
        drawn = torch.randn(KRYLOV, starts[0].numel(), generator=torch.Generator().manual_seed(order.seed))
        return _Curvature(margin, [start_vectors(starts, row) for row in drawn]), KRYLOV + 2
    return partial(_steepness, margin, norm.dual), 2


def _steepness(margin: Margin, norm: Norm, points: Points) -> tuple[Tensor, Points]:
    """||grad g||_q and its gradient."""
    at = points.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(margin(at).sum(), at, create_graph=True)
        value = norm.of(gradient)
        (slope,) = torch.autograd.grad(value.sum(), at)
    return value.detach(), slope


class _Curvature:
    """-v'Hv and its gradient, v the unit vector of the Krylov space of the last v for which that is largest.

    Where v is the eigenvector, this is -lambda_min with its gradient; else it is less. ``drawn``: random vectors, the
    first of which are where it begins; another takes the place of a direction of the Krylov space that is lost in
    rounding, as where v is an eigenvector already.
    """

    def __init__(self, margin: Margin, drawn: list[Float[Tensor, "row dim"]]) -> None:
        self.margin, self.vectors, self.drawn = margin, drawn[0], drawn

    def __call__(self, points: Points) -> tuple[Tensor, Points]:
        at = points.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.margin(at).sum(), at, create_graph=True)

            def product(vectors: Tensor, keep: bool) -> Tensor:
                given = vectors.view_as(at)
                (found,) = torch.autograd.grad(gradient, at, given, retain_graph=True, create_graph=keep)
                return found.flatten(1)

            self.vectors = self._turned(partial(product, keep=False))
            value = -(self.vectors * product(self.vectors, keep=True)).sum(1)
            (slope,) = torch.autograd.grad(value.sum(), at)
        return value.detach(), slope

    def _turned(self, product: Callable[[Tensor], Tensor]) -> Tensor:
        """The smallest Ritz vector of the Krylov space of the present vectors."""
        basis, images = [self.vectors], []
        while True:
            images.append(product(basis[-1]))
            if len(images) == min(KRYLOV, self.vectors.shape[1]):
                break
            known = torch.stack(basis, 1)
            rest, other = (_orthogonal(vectors, known) for vectors in (images[-1], self.drawn[len(basis)]))
            lost = Norm.L2.of(rest) <= torch.finfo(rest.dtype).eps ** 0.5 * Norm.L2.of(images[-1])
            basis.append(_unit(torch.where(lost.unsqueeze(1), other, rest)))
        known, hessian = torch.stack(basis, 1), torch.stack(images, 1)
        small = known @ hessian.mT
        ritz = torch.linalg.eigh((small + small.mT) / 2).eigenvectors[:, :, 0]
        return _unit((ritz.unsqueeze(1) @ known).squeeze(1))


def _orthogonal(vectors: Float[Tensor, "row dim"], known: Float[Tensor, "row basis dim"]) -> Float[Tensor, "row dim"]:
    """What is left of the vectors without their parts along the rows of an orthonormal basis."""
    for _ in range(2):  # once more for what rounding left
        vectors = vectors - ((known @ vectors.unsqueeze(2)).mT @ known).squeeze(1)
    return vectors


def _unit(vectors: Float[Tensor, "row dim"]) -> Float[Tensor, "row dim"]:
    return vectors / Norm.L2.of(vectors).clamp(min=1e-30).unsqueeze(1)


def _wide(values: Tensor, like: Points) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
