"""Points in balls: inside, by the right law, and the same for the same seed."""

import math

import pytest
import torch
from scipy.stats import kstest, uniform

from clever.errors import InputError
from clever.norms import Norm
from clever.sampling.balls import Ball, Law, batch_generator, batch_offsets, offsets
from clever.sampling.maxima import BallSampler

RADIUS = 2.5
DIMENSIONS = (2, 10, 3072)


def draw(norm: Norm, law: Law, dimension: int, count: int = 2000, seed: int = 0) -> torch.Tensor:
    like = torch.zeros(dimension, dtype=torch.float64)
    return offsets(Ball(norm, RADIUS, law), count, like, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("norm", list(Norm))
def test_uniform_points_lie_in_the_ball_and_their_radius_has_the_law_of_a_volume(norm: Norm, dimension: int) -> None:
    radius = norm.of(draw(norm, Law.UNIFORM, dimension)) / RADIUS
    assert float(radius.max()) <= 1 + 1e-12
    # P(||x||/R <= r) = r^d, so that r^d is uniform.
    assert kstest((radius**dimension).numpy(), uniform.cdf).pvalue > 0.01


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("norm", list(Norm))
def test_uniform_points_favour_no_direction_and_no_coordinate(norm: Norm, dimension: int) -> None:
    points = draw(norm, Law.UNIFORM, dimension, seed=1)
    spread = points.std()
    assert float(points.mean(0).abs().max()) < 5.5 * float(spread) / math.sqrt(len(points))
    first, last = points[:, 0], points[:, -1]
    assert kstest(first.numpy(), last.numpy()).pvalue > 0.01
    assert abs(float(torch.corrcoef(torch.stack([first, last]))[0, 1])) < 0.1


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_uniform_marginals_in_the_plane_are_those_of_the_area(norm: Norm) -> None:
    x = draw(norm, Law.UNIFORM, 2)[:, 0].numpy() / RADIUS
    cdf = {
        Norm.L1: lambda t: 0.5 + t * (1 - abs(t) / 2),
        Norm.L2: lambda t: 0.5 + (t * (1 - t**2) ** 0.5 + torch.asin(torch.as_tensor(t)).numpy()) / math.pi,
    }[norm]
    assert kstest(x, cdf).pvalue > 0.01


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_reference_code_spreads_the_radius(dimension: int) -> None:
    l1 = Norm.L1.of(draw(Norm.L1, Law.REFERENCE_CODE, dimension)) / RADIUS
    assert kstest(l1.numpy(), uniform.cdf).pvalue > 0.01
    l2 = Norm.L2.of(draw(Norm.L2, Law.REFERENCE_CODE, dimension)) / RADIUS
    # a uniform variable times the (1/d)-th power of another: P(<= r) = r (d - r^(d-1)) / (d - 1)
    assert kstest(l2.numpy(), lambda r: r * (dimension - r ** (dimension - 1)) / (dimension - 1)).pvalue > 0.01
    cube = draw(Norm.LINF, Law.REFERENCE_CODE, dimension)[:, 0].numpy() / RADIUS
    assert kstest(cube, uniform(-1, 2).cdf).pvalue > 0.01


@pytest.mark.parametrize("norm", list(Norm))
def test_single_precision_stays_finite_and_inside(norm: Norm) -> None:
    like = torch.zeros(3, 32, 32)
    points = offsets(Ball(norm, RADIUS), 512, like, torch.Generator().manual_seed(3))
    assert points.shape == (512, 3, 32, 32)
    assert points.dtype == torch.float32
    assert bool(points.isfinite().all())
    assert float(norm.of(points).max()) <= RADIUS * (1 + 1e-5)


@pytest.mark.parametrize(("dimension", "draw"), [(7, 32), (3072, 32), (150_528, 1), (10_000, 8)])
def test_draws_fit_the_cache(dimension: int, draw: int) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = list(batch_offsets(Ball(Norm.LINF, 1.0), 40, torch.zeros(dimension), generator))
    assert {len(points) for points in drawn[:-1]} == {draw}
    assert sum(map(len, drawn)) == 40


def test_a_batch_of_points_depends_on_its_arguments_alone() -> None:
    def points(seed: int = 0, image: str = "a", norm: Norm = Norm.L2, batch: int = 0) -> torch.Tensor:
        ball = Ball(norm, 1.0)
        generator = batch_generator(seed, image, ball, batch, torch.device("cpu"))
        return torch.cat(list(batch_offsets(ball, 40, torch.zeros(7), generator)))

    assert torch.equal(points(), points())
    longer = batch_offsets(
        Ball(Norm.L2, 1.0), 70, torch.zeros(7), batch_generator(0, "a", Ball(Norm.L2, 1.0), 0, torch.device("cpu"))
    )
    assert torch.equal(torch.cat(list(longer))[:40], points())
    for other in (points(seed=1), points(image="b"), points(batch=1), points(norm=Norm.L1)):
        assert not torch.equal(points(), other)


@pytest.mark.parametrize("size", [1, 7, 32, 50, 1000])
def test_the_hardware_batch_changes_no_point(size: int) -> None:
    ball_sampler = BallSampler(torch.rand(3, 4, 4), "a", Ball(Norm.L1, 1.0), n_samples=37, seed=5, clip=True)
    whole = torch.cat([points for points, _ in ball_sampler.points(range(2, 6), 10**6)])
    parts = [points.clone() for points, _ in ball_sampler.points(range(2, 6), size)]
    assert all(len(part) == size for part in parts[:-1])
    assert torch.equal(torch.cat(parts), whole)
    assert len(whole) == 4 * 37


def test_clipping_keeps_points_valid_and_measures_their_distance() -> None:
    centre = torch.tensor([0.0, 1.0, 0.5])
    ball_sampler = BallSampler(centre, "a", Ball(Norm.LINF, 0.8), n_samples=100, seed=0, clip=True)
    points, distance = next(ball_sampler.points(range(1), 100))
    assert float(points.min()) == 0
    assert float(points.max()) == 1
    assert torch.allclose(distance, (points - centre).abs().amax(1))


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("law", list(Law))
def test_norm_and_law_may_be_given_by_name(norm: Norm, law: Law) -> None:
    centre = torch.full((50,), 0.5)
    by_name, by_choice = (
        offsets(ball, 20, centre, torch.Generator().manual_seed(0))
        for ball in (Ball(str(norm).lower(), 2.0, str(law)), Ball(norm, 2.0, law))  # type: ignore[arg-type]
    )
    assert torch.equal(by_name, by_choice)
    with pytest.raises(InputError, match="it must be one of uniform"):
        Ball(norm, 2.0, "normal")  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [0, -1.0, math.inf, math.nan])
def test_a_radius_that_is_none_is_refused(radius: float) -> None:
    with pytest.raises(InputError, match="radius of the L2 ball"):
        Ball(Norm.L2, radius)
