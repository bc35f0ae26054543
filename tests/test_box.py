"""Points uniform on the images of a ball, and caps that are what was sampled."""

import math

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor, nn

import clever
from clever.maxima import BallSampler
from clever.norms import Norm
from clever.sampling import Ball, Law, offsets

CENTRES = {
    "within": ([0.5, 0.5], 0.7),
    "at one wall": ([0.0, 0.4, 0.6], 0.5),
    "in a corner": ([0.0, 1.0, 0.0], 0.9),
    "near a wall": ([0.05, 0.5, 0.93, 1.0], 0.4),
    "box within ball": ([0.2, 0.9], 5.0),
    "wall at both sides": ([0.0, 0.3], 1.5),
}


def drawn(norm: Norm, centre: Tensor, radius: float, count: int, seed: int = 0) -> Tensor:
    ball = Ball(norm, radius, Law.UNIFORM_IN_BOX)
    return centre + offsets(ball, count, centre, torch.Generator().manual_seed(seed))


def rejected(norm: Norm, centre: Tensor, radius: float, count: int) -> Tensor:
    """The definition: points uniform in the box, those in the ball."""
    points = torch.rand(count, len(centre), generator=torch.Generator().manual_seed(1), dtype=centre.dtype)
    return points[norm.of(points - centre) <= radius]


@pytest.mark.parametrize("case", CENTRES)
@pytest.mark.parametrize("norm", list(Norm))
def test_points_are_uniform_on_the_ball_within_the_box(norm: Norm, case: str) -> None:
    values, radius = CENTRES[case]
    centre = torch.tensor(values, dtype=torch.float64)
    ours, truth = drawn(norm, centre, radius, 4000), rejected(norm, centre, radius, 100_000)
    assert float(ours.min()) >= 0
    assert float(ours.max()) <= 1
    directions = torch.cat([torch.eye(len(centre)), torch.ones(1, len(centre))]).to(centre)
    directions[-1, 0] = -2
    seen = [(ours @ way, truth @ way) for way in directions] + [(norm.of(ours - centre), norm.of(truth - centre))]
    assert all(ks_2samp(one.numpy(), other.numpy()).pvalue > 1e-3 for one, other in seen)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_a_photograph_and_a_black_image_are_reached_to_the_full_radius(norm: Norm) -> None:
    """In 3,072 dimensions, where clipping leaves .73 (L2) and .54 (L1) of R of a black image."""
    radius = {Norm.L1: 30.0, Norm.L2: 3.0}[norm]
    generator = torch.Generator().manual_seed(0)
    for image in (torch.zeros(3, 32, 32), torch.rand(3, 32, 32, generator=generator)):
        points = drawn(norm, image, radius, 64)
        assert float(points.min()) >= 0
        assert float(points.max()) <= 1
        assert float(norm.of(points - image).max()) == pytest.approx(radius, rel=1e-3)
        assert float(norm.of(points - image).min()) > 0.99 * radius  # as in any ball of so many dimensions


def test_the_same_seed_gives_the_same_points_and_a_longer_batch_begins_with_the_shorter() -> None:
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(3))
    ball = Ball(Norm.L2, 1.0, Law.UNIFORM_IN_BOX)
    many, few = (
        torch.cat([points.clone() for points, _ in BallSampler(image, "a", ball, n, 5, clip=False).points(range(1), 7)])
        for n in (70, 33)
    )
    assert torch.equal(many[:33], few)


class Flat(nn.Module):
    """Logits 1 and 0 everywhere, differentiable."""

    def forward(self, x: Tensor) -> Tensor:
        zero = 0 * x.flatten(1).sum(1)
        return torch.stack([1 + zero, zero], 1)


def cap(image: Tensor, norm: str, radius: float, **changes: object) -> clever.Score:
    settings = clever.Settings(n_batches=5, n_samples=32, radius={norm: radius}, **changes)  # type: ignore[arg-type]
    (score,) = clever.score(Flat(), image, settings, targets=["top2"], norms=[norm], progress=False)
    assert score.capped
    assert score.score == score.radius
    assert score.row()["farthest_sample"] == score.farthest_sample
    return score


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
@pytest.mark.parametrize(("norm", "radius", "share"), [("L2", 3.0, 0.73), ("L1", 30.0, 0.545)])
def test_a_cap_is_how_far_points_went(norm: str, radius: float, share: float) -> None:
    """Half of the numbers drawn around a black image are clipped: about R / sqrt(2) is left in L2, R / 2 in L1."""
    black = torch.zeros(3, 32, 32)
    clipped = cap(black, norm, radius, clip=True)
    assert clipped.radius == clipped.farthest_sample == pytest.approx(share * radius, rel=0.02)
    assert cap(black, norm, radius, clip=False).radius == radius
    assert cap(black, norm, radius, law="uniform_in_box").radius == pytest.approx(radius, rel=1e-3)


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_no_cap_exceeds_the_domain() -> None:
    grey = torch.full((3, 8, 8), 0.5)
    assert cap(grey, "Linf", 5.0, clip=True).radius == pytest.approx(0.5)
    assert cap(grey, "Linf", 5.0, law="uniform_in_box").radius == pytest.approx(0.5, rel=0.01)
    assert cap(grey, "L2", 50.0, clip=True).radius <= 0.5 * math.sqrt(192) * (1 + 1e-6)
