"""The exact L2 distance to a class, for networks whose curvature is bounded everywhere: a convex problem."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clever.bounds.formulas import second_order
from clever.errors import InputError
from pipeline.shared.models.networks.two_layer import TwoLayer

GAP = 1e-4
"""Of the distance: no further apart may both ends be that count as one number."""
ROUNDING = 1e-4
"""Of an attack's distance, which ends where a network in single precision changes its class."""
STRONGEST = 0.98
"""Of 1 / m: the largest multiplier tried, where the problem is strongly convex with modulus 0.02."""
HALVINGS = 18
"""Of the multiplier's interval: the gap is of the order of its square."""
STEPS, SMALL = 400, 1e-7
"""Of the minimisation for one multiplier at most, and the change of an image at which it ends."""

Rows = Float[Tensor, "row d"]
Numbers = Float[Tensor, " row"]


@dataclass(frozen=True)
class Exact:
    """For each row ``lower`` <= the true L2 distance within [0,1]^d <= ``upper``, infinite where no image was found.

    ``certificate``: the closed bound of theorem 4.1 with the curvature's closed bound m; never above ``lower``'s best.
    """

    certificate: Numbers
    lower: Numbers
    upper: Numbers

    @property
    def known(self) -> Bool[Tensor, " row"]:
        """Where both ends are one number, to a share of `GAP`."""
        return self.upper.isfinite() & (self.upper <= self.lower * (1 + GAP))

    @property
    def distance(self) -> Numbers:
        """The exact distance, NaN where there is none."""
        return torch.where(self.known, self.upper, torch.nan)


def exact_distances(network: TwoLayer, images: Rows, predicted: Sequence[int], targets: Sequence[int]) -> Exact:
    """The distance from each flat image in [0,1]^d to the nearest one with g = f_c - f_j <= 0 (Singla and Feizi 2020).

    For eta < 1/m the Lagrangian ||x - x0||^2 / 2 + eta g(x) is strongly convex with modulus 1 - eta m, m from
    `TwoLayer.curvatures`. Its minimum over the box is a lower bound of half the squared distance; where the minimiser
    has g = 0, it is the nearest image. eta is bisected. ``lower`` is sound wherever a minimisation ends: it takes
    F(x) + min over y in the box of <grad F(x), y - x> + (1 - eta m) ||y - x||^2 / 2 for the minimum, in double
    precision. `InputError` for an image that is the target's already.
    """
    net, images = network.double(), images.double()
    own, other = (torch.tensor(classes, device=images.device) for classes in (predicted, targets))
    margin = _Margin(net, net.outer[own] - net.outer[other], net.constant[own] - net.constant[other])
    value, gradient = margin(images)
    if not bool((value > 0).all()):
        raise InputError(f"row(s) {(value <= 0).nonzero().flatten().tolist()} are taken for the target class already")
    bound, up = net.curvatures(margin.weights), net.curvatures(-margin.weights)
    closed = torch.from_numpy(
        second_order(value.cpu().numpy(), gradient.norm(dim=1).cpu().numpy(), bound.cpu().numpy())
    )
    lower, upper = torch.zeros_like(value), torch.full_like(value, torch.inf)
    low, high = torch.zeros_like(value), STRONGEST / bound
    x, eta = images, high
    for _ in range(1 + HALVINGS):
        x = _minimiser(margin, images, x, eta, 1 - eta * bound, 1 + eta * up)
        value, gradient = margin(x)
        least = _least(images, x, eta, value, gradient, 1 - eta * bound)
        lower = torch.maximum(lower, (2 * least.clamp(min=0)).sqrt())
        upper = torch.where(value <= 0, torch.minimum(upper, (x - images).norm(dim=1)), upper)
        high, low = torch.where(value <= 0, eta, high), torch.where(value <= 0, low, eta)
        eta = (low + high) / 2
    return Exact(closed.to(value), lower, upper)


def check_order(rows: pd.DataFrame) -> None:
    """certificate <= exact <= attack for every image, to `GAP` and single precision; `AssertionError` names the others.

    ``rows``: with the columns id, target, certificate, lower, upper and distance, that of an attack. Where there is no
    exact distance, ``lower`` stands for it below the attack.
    """
    above = rows.certificate > rows.upper * (1 + ROUNDING)
    beyond = rows.lower * (1 - ROUNDING) > rows.distance
    wrong = rows[above | beyond]
    if len(wrong):
        named = (f"{row.id} ({row.target}: {row.certificate:g}, {row.lower:g}, {row.upper:g}, {row.distance:g})"
                 for row in wrong.itertuples())  # fmt: skip
        raise AssertionError(f"not certificate <= exact <= attack: {'; '.join(named)}")


@dataclass(frozen=True)
class _Margin:
    """g(x) = w' s(A x + c) + constant, row by row, with its gradient."""

    network: TwoLayer
    weights: Float[Tensor, "row hidden"]
    constant: Numbers

    def __call__(self, x: Rows) -> tuple[Numbers, Rows]:
        hidden, beta = x @ self.network.inner.T + self.network.shift, self.network.beta
        value = (self.weights * torch.nn.functional.softplus(hidden, beta, 700)).sum(1) + self.constant
        return value, (self.weights * torch.sigmoid(beta * hidden)) @ self.network.inner


def _minimiser(
    margin: Callable[[Rows], tuple[Numbers, Rows]],
    images: Rows,
    x: Rows,
    eta: Numbers,
    convex: Numbers,
    smooth: Numbers,
) -> Rows:
    """Of the Lagrangian over the box, by Nesterov's projected steps for that modulus and smoothness."""
    root = (convex / smooth).sqrt().unsqueeze(1)
    momentum, ahead = (1 - root) / (1 + root), x
    for _ in range(STEPS):
        gradient = ahead - images + eta.unsqueeze(1) * margin(ahead)[1]
        new = (ahead - gradient / smooth.unsqueeze(1)).clamp(0, 1)
        change = (new - x).norm(dim=1).max()
        ahead, x = new + momentum * (new - x), new
        if change < SMALL:
            break
    return x


def _least(images: Rows, x: Rows, eta: Numbers, value: Numbers, slope: Rows, convex: Numbers) -> Numbers:
    """Below the Lagrangian everywhere in the box, by its strong convexity at x."""
    gradient, moved = x - images + eta.unsqueeze(1) * slope, convex.unsqueeze(1)
    step = torch.minimum(torch.maximum(-gradient / moved, -x), 1 - x)
    here = (x - images).square().sum(1) / 2 + eta * value
    return here + (gradient * step + moved / 2 * step.square()).sum(1)
