"""The interval of a score, and stopping when it is narrow enough."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import weibull_max
from torch import nn

import clever
from clever.estimates import Estimate, estimates
from clever.maxima import KEPT, BatchMaxima, Site
from clever.norms import Norm
from clever.samplers import MeasureOf, Sampler
from clever.subjects import subject_of
from conftest import Project


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


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_infinite_scores_are_settled_at_once() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.Hardtanh(100, 101), nn.Linear(20, 5)).eval()
    for score in scores(flat, torch.rand(1, 3, 2, 2), tolerance=0.1):
        assert (score.score, score.n_batches) == (float("inf"), 50)


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
            assert point.fit_failed
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


def test_a_tolerance_holds_on_both_sides() -> None:
    def of(score: float, low: float, high: float) -> Estimate:
        nothing, point = np.zeros(1, np.float32), clever.end_points(np.ones(5))[0]
        return Estimate(score, low, high, 1.0, 1.0, 1.0, 1, point, False, False, False, False, {}, nothing, float)

    assert of(1.0, 0.95, 1.05).narrower(0.0501)
    assert not of(1.0, 0.99, 1.06).narrower(0.0501)  # as wide, but further to one side
    assert not of(1.0, 0.94, 1.01).narrower(0.0501)
    assert not of(1.0, np.nan, np.nan).narrower(0.5)
    assert of(np.inf, np.inf, np.inf).narrower(0.01)


def test_a_tolerance_stops_when_the_interval_is_narrow(network: nn.Module, images: torch.Tensor) -> None:
    full = scores(network, images, estimator="profile")
    used = {}
    for tolerance in (0.5, 0.1, 0.02):
        stopped = scores(network, images, estimator="profile", tolerance=tolerance)
        used[tolerance] = np.mean([score.n_batches for score in stopped])
        assert all(score.maxima.shape == (score.n_batches,) for score in stopped)
        for score, reference in zip(stopped, full, strict=True):
            narrow = max(score.high - score.score, score.score - score.low) <= tolerance * score.score
            assert narrow or score.n_batches == 200
            assert score.n_batches in {50, 75, 112, 168, 200}
            # The same batches, only fewer.
            assert np.array_equal(score.maxima, reference.maxima[: score.n_batches])
    assert used[0.5] < used[0.02]


def law_of_known_end(seed: int, shape: float) -> Sampler:
    """In the place of gradients: batches whose largest norms follow a law that ends at 1, of width 0.2."""

    def sampler(
        measure_of: MeasureOf, site: Site, predicted: int, targets: Sequence[int], batches: range
    ) -> BatchMaxima:
        rows = [np.random.default_rng([seed, batch]).exponential(size=KEPT).cumsum() for batch in batches]
        value = 1 - 0.2 * np.array(rows, dtype=np.float32)[:, None, None] ** (1 / shape)
        value = np.repeat(value, 3, axis=2)
        nothing = np.zeros(value.shape, np.int32)
        return BatchMaxima(value, nothing, np.ones_like(value), value[..., 0], np.ones((len(value), 1), np.float32))

    return sampler


@pytest.mark.parametrize(("shape", "n_samples"), [(4.0, 16), (4.0, 1024), (8.0, 1024)])
def test_scores_that_stop_early_are_within_the_tolerance_of_the_true_one(
    shape: float, n_samples: int, network: nn.Module, images: torch.Tensor
) -> None:
    """Of 1 / end, where 95 % intervals that reach no further than the tolerance promise at least about 95 %."""
    settings = clever.Settings(
        n_batches=500, n_samples=n_samples, radius={"L2": 1.0}, cap=False, floor=False, tolerance=0.1
    )
    subject = subject_of(network, images[0], 0, ["top2"], settings)
    assert subject
    (label,) = subject.classes
    found = []
    for seed in range(25):
        sampler = law_of_known_end(seed, shape)
        order, ball = clever.FirstOrder(), settings.ball(Norm.L2)
        found.append(estimates(network, images[0], subject, settings, ball, [Norm.L2], order, sampler)[Norm.L2, label])
    used = np.array([len(one.largest) for one in found])
    off = np.abs(np.array([one.score for one in found]) / subject.margins[label] - 1)
    stopped = used < 500
    assert stopped.mean() > 0.5
    assert used.mean() > 60  # the first look is at 50
    assert np.mean(off[stopped] > 0.1) <= 0.1


def test_a_tolerance_serves_all_norms_of_shared_points(network: nn.Module, images: torch.Tensor) -> None:
    table = pd.DataFrame(score.row() for score in scores(network, images, tolerance=0.05, shared_points=True))
    assert (table.groupby(["image", "target"]).n_batches.nunique() == 1).all()


@pytest.mark.parametrize("tolerance", [0, 1, -0.1, "small", True])
def test_a_tolerance_that_is_no_share_is_refused(tolerance: object) -> None:
    with pytest.raises(clever.InputError, match="it must be a share between 0 and 1"):
        clever.paper(tolerance=tolerance)


def test_a_run_with_a_tolerance_computes_less_and_goes_on_from_there(project: Project) -> None:
    more = ("sampling.n_batches=120", "chunk_points=80", "norms=[L2]", "targets=[top2]")
    project.stage("score", "results_dir=stopped", "sampling.tolerance=0.3", *more)
    table = pd.read_csv(project.folder / "stopped" / "scores.csv")
    maxima = np.load(project.folder / "stopped" / "maxima.npy")
    assert table.n_batches.min() < 120
    assert ((~np.isnan(maxima)).sum(1) == table.n_batches).all()
    stopped = json.loads((project.folder / "stopped" / "run.json").read_text())
    project.stage("score", "results_dir=full", *more)
    full = json.loads((project.folder / "full" / "run.json").read_text())
    assert full["points_from_store"] == stopped["points_computed"]
    assert full["points_computed"] > 0
