"""The interval of an end point, and of a score."""

import numpy as np
import pytest
import torch
from scipy.stats import weibull_max
from torch import nn

import clever


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def scores(network: nn.Module, images: torch.Tensor, **changes: object) -> list[clever.Score]:
    settings = clever.paper(
        **{"n_batches": 200, "n_samples": 8, "radius": {"L1": 1, "L2": 0.5}, "cap": False, "clip": True} | changes
    )
    return clever.score(network, images, settings, norms=["L1", "L2"], progress=False)


@pytest.mark.parametrize(("shape", "n", "least"), [(3.0, 500, 0.8), (8.0, 500, 0.8), (4.0, 50, 0.6)])
def test_the_interval_of_an_end_point_holds_it_about_as_often_as_it_says(shape: float, n: int, least: float) -> None:
    maxima = 10 + weibull_max.rvs(shape, size=(200, n), random_state=np.random.default_rng(0))
    points = clever.end_points(maxima)
    held = [abs(point.value - 10) < 1.96 * point.standard_error for point in points]  # not where it is unknown
    assert least < np.mean(held) < 0.99
    spread = np.quantile([point.value for point in points], [0.16, 0.84])
    assert np.nanmedian([point.standard_error for point in points]) == pytest.approx(np.diff(spread)[0] / 2, rel=0.4)


@pytest.mark.parametrize("shape", [0.7, 1.5])
def test_where_the_information_says_nothing_no_error_is_claimed(shape: float) -> None:
    maxima = 1000 + weibull_max.rvs(shape, size=(50, 200), random_state=np.random.default_rng(0))
    points = [point for point in clever.end_points(maxima) if point.shape <= 2]
    assert len(points) > 25
    assert all(np.isnan(point.standard_error) for point in points)


def test_a_standard_error_scales_with_the_maxima() -> None:
    maxima = 10 + weibull_max.rvs(4, size=(1, 100), random_state=np.random.default_rng(0))
    (one,), (tenfold,) = clever.end_points(maxima), clever.end_points(10 * maxima)
    assert tenfold.standard_error == pytest.approx(10 * one.standard_error, rel=1e-3)
    (flat,) = clever.end_points(np.ones((1, 20)))
    assert flat.standard_error == 0
    (maximum,) = clever.end_points(maxima, "maximum")
    assert np.isnan(maximum.standard_error)


def test_the_interval_of_a_score_is_that_of_its_end_point(network: nn.Module, images: torch.Tensor) -> None:
    found = scores(network, images)
    for score in found:
        point = score.end_point
        if np.isnan(point.low):
            assert point.fell_back
            assert np.isnan([score.low, score.high]).all()
            continue
        assert score.low <= score.score <= score.high
        assert score.low == pytest.approx(score.margin / point.high, abs=0)  # 0 where it is infinite
        assert score.high == pytest.approx(score.margin / point.low)
    assert sum(score.low > 0 for score in found) >= 5


@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "profile", "r_largest"])
def test_where_no_end_point_is_excluded_a_score_has_no_lower_end(
    estimator: str, network: nn.Module, images: torch.Tensor
) -> None:
    found = scores(network, images, n_batches=12, estimator=estimator)
    unbounded = [score for score in found if score.end_point.unbounded]
    assert 0 < len(unbounded) < len(found)
    for score in unbounded:
        assert score.low == 0
        assert 0 < score.score <= score.high < np.inf
