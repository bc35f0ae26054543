"""Exact L2 distances to a class, by convex optimization, for networks whose curvature is bounded everywhere."""

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
"""Largest relative difference between the lower and the upper bound of a distance that counts as exact."""
ROUNDING = 1e-4
"""Relative tolerance of an attack's distance, found with a network in single precision."""
MAX_MULTIPLIER = 0.98
"""Largest multiplier tried, as a fraction of 1 / m; there the problem is strongly convex with modulus 0.02."""
HALVINGS = 18
"""Bisection steps for the multiplier; the gap is of the order of the square of its interval."""
STEPS, TOLERANCE = 400, 1e-7
"""Maximum steps of the minimization for one multiplier, and the change of an image at which it stops."""

Rows = Float[Tensor, "row d"]
Numbers = Float[Tensor, " row"]


@dataclass(frozen=True)
class Exact:
    """For each row ``lower`` <= the true L2 distance within [0,1]^d <= ``upper``, infinite where no image was found.

    ``certificate``: the closed-form bound of theorem 4.1 with the curvature bound m; never above the best ``lower``.
    """

    certificate: Numbers
    lower: Numbers
    upper: Numbers

    @property
    def converged(self) -> Bool[Tensor, " row"]:
        """Whether lower and upper bound agree to a relative difference of `GAP`."""
        return self.upper.isfinite() & (self.upper <= self.lower * (1 + GAP))

    @property
    def distance(self) -> Numbers:
        """The exact distance, NaN where the bounds have not converged."""
        return torch.where(self.converged, self.upper, torch.nan)


def exact_distances(network: TwoLayer, images: Rows, predicted: Sequence[int], targets: Sequence[int]) -> Exact:
    """The distance from each flat image in [0,1]^d to the nearest one with g = f_c - f_j <= 0 (Singla and Feizi 2020).

    For eta < 1/m the Lagrangian F(x) = ||x - x0||^2 / 2 + eta g(x) is strongly convex with modulus 1 - eta m, where m
    comes from `TwoLayer.curvatures`. Its minimum over the box is a lower bound of half the squared distance; if the
    minimizer has g = 0, it is the nearest image. eta is bisected. ``lower`` is sound even if a minimization stops
    early: it uses F(x) + min over y in the box of <grad F(x), y - x> + (1 - eta m) ||y - x||^2 / 2, in double
    precision, instead of the minimum. `InputError` for an image that is already classified as the target.
    """
    net, images = network.double(), images.double()
    own, other = (torch.tensor(classes, device=images.device) for classes in (predicted, targets))
    margin = _Margin(net, net.outer[own] - net.outer[other], net.constant[own] - net.constant[other])
    value, gradient = margin(images)
    if not bool((value > 0).all()):
        raise InputError(f"row(s) {(value <= 0).nonzero().flatten().tolist()} are already classified as the target")
    bound, up = net.curvatures(margin.weights), net.curvatures(-margin.weights)
    closed = torch.from_numpy(
        second_order(value.cpu().numpy(), gradient.norm(dim=1).cpu().numpy(), bound.cpu().numpy())
    )
    lower, upper = torch.zeros_like(value), torch.full_like(value, torch.inf)
    low, high = torch.zeros_like(value), MAX_MULTIPLIER / bound
    x, eta = images, high
    for _ in range(1 + HALVINGS):
        x = _minimize(margin, images, x, eta, 1 - eta * bound, 1 + eta * up)
        value, gradient = margin(x)
        minimum = _minimum_bound(images, x, eta, value, gradient, 1 - eta * bound)
        lower = torch.maximum(lower, (2 * minimum.clamp(min=0)).sqrt())
        upper = torch.where(value <= 0, torch.minimum(upper, (x - images).norm(dim=1)), upper)
        high, low = torch.where(value <= 0, eta, high), torch.where(value <= 0, low, eta)
        eta = (low + high) / 2
    return Exact(closed.to(value), lower, upper)


def check_order(rows: pd.DataFrame) -> None:
    """Checks certificate <= exact <= attack for every image, up to `ROUNDING`; `AssertionError` lists violations.

    ``rows``: columns id, target, certificate, lower, upper and the attack's distance. The certificate is compared with
    ``upper``, and the attack with ``lower``, so that rows without an exact distance are checked, too.
    """
    certificate_above = rows.certificate > rows.upper * (1 + ROUNDING)
    attack_below = rows.lower * (1 - ROUNDING) > rows.distance
    wrong = rows[certificate_above | attack_below]
    if len(wrong):
        listed = (f"{row.id} ({row.target}: {row.certificate:g}, {row.lower:g}, {row.upper:g}, {row.distance:g})"
                  for row in wrong.itertuples())  # fmt: skip
        raise AssertionError(f"not certificate <= exact <= attack: {'; '.join(listed)}")


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


def _minimize(
    margin: Callable[[Rows], tuple[Numbers, Rows]],
    images: Rows,
    x: Rows,
    eta: Numbers,
    convex: Numbers,
    smooth: Numbers,
) -> Rows:
    """The minimizer of the Lagrangian over the box, by Nesterov's projected gradient steps.

    ``convex``, ``smooth``: the Lagrangian's modulus of strong convexity and its smoothness constant.
    """
    root = (convex / smooth).sqrt().unsqueeze(1)
    momentum, ahead = (1 - root) / (1 + root), x
    for _ in range(STEPS):
        gradient = ahead - images + eta.unsqueeze(1) * margin(ahead)[1]
        new = (ahead - gradient / smooth.unsqueeze(1)).clamp(0, 1)
        change = (new - x).norm(dim=1).max()
        ahead, x = new + momentum * (new - x), new
        if change < TOLERANCE:
            break
    return x


def _minimum_bound(images: Rows, x: Rows, eta: Numbers, value: Numbers, slope: Rows, convex: Numbers) -> Numbers:
    """A lower bound of the Lagrangian over the box, by its strong convexity at x."""
    gradient, modulus = x - images + eta.unsqueeze(1) * slope, convex.unsqueeze(1)
    step = torch.minimum(torch.maximum(-gradient / modulus, -x), 1 - x)
    at_x = (x - images).square().sum(1) / 2 + eta * value
    return at_x + (gradient * step + modulus / 2 * step.square()).sum(1)
