"""Ascent reaches maxima that are known and random points miss, and stays in the ball and the box."""

import math

import pytest
import torch
from torch import Tensor, nn

import clever
from clever.attacks.projection import project
from clever.norms import Norm
from clever.scoring.ascent import ascend


class Ridge(nn.Module):
    """g = 9 + 2 tanh(u), u = 50 (mean(x) - .52): steepest, and most curved, on planes that random points hardly meet.

    The gradient's norms are largest where u = 0, and -lambda_min where tanh u = 1/sqrt 3.
    """

    def forward(self, x: Tensor) -> Tensor:
        u = 50 * (x.flatten(1).mean(1) - 0.52)
        return torch.stack([9 + 2 * torch.tanh(u), torch.zeros_like(u)], 1)


PIXELS = 48
IMAGE = torch.full((1, 3, 4, 4), 0.5)
RADIUS = {"L1": 1.5, "L2": 0.3, "Linf": 0.06}
"""Each ball reaches the planes; its random points, but for rare ones, do not."""
LARGEST = {  # of the dual norm: 2 * 50 / d for each pixel
    "L1": 100 / PIXELS,
    "L2": 100 / math.sqrt(PIXELS),
    "Linf": 100.0,
}


def scored(order: clever.FirstOrder | clever.SecondOrder, norm: str, **changes: object) -> clever.Score:
    settings = clever.Settings(
        **{"n_batches": 10, "n_samples": 8, "radius": RADIUS, "clip": True, "estimator": "maximum"} | changes
    )
    (score,) = clever.score(Ridge(), IMAGE, settings, targets=["top2"], norms=[norm], order=order, progress=False)
    return score


@pytest.mark.parametrize("norm", ["L1", "L2", "Linf"])
def test_the_known_maximum_of_the_gradient_is_reached(norm: str) -> None:
    free, climbed = (scored(clever.FirstOrder(), norm, ascent=steps) for steps in (0, 25))
    assert climbed.constant == pytest.approx(LARGEST[norm], rel=2e-3)
    assert free.constant < 0.95 * LARGEST[norm]
    assert climbed.score == pytest.approx(climbed.margin / climbed.constant) or climbed.capped
    assert (climbed.ascended, free.ascended) == (True, False)
    assert (free.gradients, climbed.gradients) == (81, 81 + 8 * (25 * 2 + 2))


def test_the_known_maximum_of_the_curvature_is_reached() -> None:
    free, climbed = (scored(clever.SecondOrder(dense_hessian_max_dim=0), "L2", ascent=steps) for steps in (0, 25))
    most = 2 * 50**2 / PIXELS * 4 / (3 * math.sqrt(3))  # of 2 tanh sech^2
    assert climbed.constant == pytest.approx(most, rel=2e-3)
    assert free.constant < 0.9 * most


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(
    "order", [clever.FirstOrder(), clever.SecondOrder(dense_hessian_max_dim=0)], ids=lambda order: order.name
)
def test_every_value_is_one_of_the_ball_and_the_box_and_none_is_below_the_samples(
    order, norm: Norm, clip: bool
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Softplus(beta=5), nn.Linear(16, 3))
    images = torch.rand(2, 3, 4, 4)
    seen = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return network(x)

    watched = Watched().eval()
    settings = {"n_batches": 4, "n_samples": 4, "radius": RADIUS, "clip": clip, "estimator": "maximum"}
    of = {"targets": ["top2"], "norms": [str(norm)], "order": order, "progress": False}
    free = clever.score(network, images, clever.Settings(**settings), **of)
    for image, before in zip(images, free, strict=True):
        seen.clear()
        (climbed,) = clever.score(watched, image, clever.Settings(**settings, ascent=6), **of)
        assert climbed.constant >= before.constant * (1 - 1e-6)
        assert climbed.score <= before.score * (1 + 1e-6)
        points = torch.cat(seen)
        assert float(norm.of(points - image).max()) <= RADIUS[str(norm)] * (1 + 1e-5)
        assert not clip or 0 <= float(points.min()) <= float(points.max()) <= 1


def test_of_an_ascent_the_best_point_is_kept_whatever_comes_later() -> None:
    values = iter([3.0, math.nan, 1.0, 2.0])

    def climb(x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full((len(x),), next(values)), torch.ones_like(x)

    start = torch.zeros(2, 3)
    assert torch.equal(ascend(climb, start, lambda x: x, 4, 1.0), start)


@pytest.mark.parametrize("norm", Norm)
def test_the_projection_is_the_nearest_point_of_the_ball(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    change, radius = torch.randn(6, 3, 2, generator=generator), torch.tensor([0.1, 0.5, 1, 2, 5, 50])
    found = project(change, norm, radius)
    assert bool((norm.of(found) <= radius * (1 + 1e-6)).all())
    torch.testing.assert_close(found[5], change[5])
    # of a convex set: the way to any other point of it leads away from what was projected
    others = project(torch.randn(500, 3, 2, generator=generator), norm, torch.full((500,), 0.5))
    assert float(((change[1] - found[1]) * (others - found[1])).flatten(1).sum(1).max()) <= 1e-5


def test_what_has_no_second_derivatives_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 3))
    settings = clever.Settings(n_batches=10, n_samples=8, radius=RADIUS, ascent=5)
    with pytest.raises(clever.InputError, match=r"ascent is 5: it needs second derivatives.*2 \(ReLU\).*ascent=0"):
        clever.score(network, IMAGE, settings, progress=False)
    with pytest.raises(clever.InputError, match="only first and second order have one, not gauge"):
        clever.score(Ridge(), IMAGE, settings, order=clever.Gauge(), progress=False)
    with pytest.raises(clever.InputError, match="ascent is -1"):
        clever.Settings(n_batches=10, n_samples=8, radius=RADIUS, ascent=-1)
