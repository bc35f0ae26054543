"""The smallest of many noisy scores, against a truth that is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import clever
from clever.extreme_value import end_points
from clever.untargeted import Candidate, Smallest, drawn_end_points, smallest

END = 10.0


def candidates(classes: int, n_batches: int, seed: int, spread: float = 0.0, shared: bool = False) -> list[Candidate]:
    """Classes with reverse Weibull maxima, whose true scores are 1 and more; ``shared``: as if the points were one."""
    rng = np.random.default_rng(seed)
    drawn = rng.weibull(4, (1 if shared else classes, n_batches))
    maxima = (
        END
        - 5 * np.broadcast_to(drawn, (classes, n_batches))
        + (1e-3 * rng.random((classes, n_batches)) if shared else 0)
    )
    margins = END * np.exp(spread * np.arange(classes))
    return [
        Candidate(row[:, None].astype(np.float32), point, lambda end, margin=margin: float(margin / end))
        for row, point, margin in zip(maxima, end_points(maxima, "profile"), margins, strict=True)
    ]


def largest_of(samples: int, n_batches: int, values: int, seed: int) -> np.ndarray:
    arrivals = np.random.default_rng(seed).exponential(size=(samples, n_batches, values)).cumsum(2)
    return END - 4 * arrivals ** (1 / 4)


def found(of: list[Candidate], seed: int = 0) -> tuple[float, Smallest]:
    plain = min(one.score_of(one.end_point.value) for one in of)
    return plain, smallest(of, np.random.default_rng(seed))


def test_the_bias_of_the_smallest_of_equal_scores_is_taken_off() -> None:
    told = [found(candidates(12, 24, seed), seed) for seed in range(8)]
    plain, corrected = (
        np.log([pick(one) for one in told]) for pick in (lambda one: one[0], lambda one: one[1].corrected)
    )
    print(np.exp(plain.mean()), np.exp(corrected.mean()))
    assert plain.mean() < -0.08
    assert abs(corrected.mean()) < 0.5 * abs(plain.mean())
    assert np.mean([one.low <= 1 <= one.high for _, one in told]) >= 0.75


@pytest.mark.parametrize(("estimator", "values"), [("mle_reg", 1), ("profile", 1), ("r_largest", 8)])
def test_draws_follow_the_fitted_laws_and_are_fitted_by_the_same_estimator(
    estimator: str, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """((end - m)/scale)^shape of the k-th largest of a batch is a sum of k exponential variables."""
    sample = largest_of(3, 60, values, seed=2)
    points = end_points(sample, estimator)
    assert not any(point.fell_back for point in points)
    seen = []

    def watched(largest: np.ndarray, by: str) -> list[clever.EndPoint]:
        seen.append((largest, by))
        return end_points(largest, by)

    monkeypatch.setattr("clever.untargeted.end_points", watched)
    classes = [Candidate(row.astype(np.float32), point, float) for row, point in zip(sample, points, strict=True)]
    ends = drawn_end_points(classes, np.random.default_rng(0))
    ((drawn, by),) = seen
    assert by == estimator
    assert drawn.shape == (300, 60, values)
    assert ends.T.ravel() == pytest.approx([point.value for point in end_points(drawn, estimator)])
    for point, of_class in zip(points, drawn.reshape(3, 6000, values), strict=True):
        arrivals = ((point.value - of_class) / point.scale) ** point.shape
        k = np.arange(1, values + 1)
        assert arrivals.mean(0) == pytest.approx(k, rel=0.06)
        assert arrivals.var(0) == pytest.approx(k, rel=0.15)


@pytest.mark.parametrize(("estimator", "values"), [("profile", 1), ("r_largest", 8)])
def test_the_spread_of_draws_is_that_of_true_samples(estimator: str, values: int) -> None:
    """By eight values of each batch it is half as wide."""
    of_law = [point.value for point in end_points(largest_of(200, 100, values, seed=1), estimator)]
    sample = largest_of(8, 100, values, seed=2)
    classes = [
        Candidate(row.astype(np.float32), point, float)
        for row, point in zip(sample, end_points(sample, estimator), strict=True)
    ]
    spreads = np.log(drawn_end_points(classes, np.random.default_rng(0))).std(0)
    print(spreads, np.std(np.log(of_law)))
    assert np.median(spreads) == pytest.approx(np.std(np.log(of_law)), rel=0.3)


def test_the_interval_of_the_smallest_knows_of_several_values_of_each_batch() -> None:
    """Ten equal classes by eight values of each of 24 batches, whose smallest score is 1."""
    plain, told = [], []
    for seed in range(10):
        sample = largest_of(10, 24, 8, seed)
        points = end_points(sample, "r_largest")
        of = [
            Candidate(row.astype(np.float32), point, lambda end: END / end)
            for row, point in zip(sample, points, strict=True)
        ]
        least, one = found(of, seed)
        plain.append(np.log(least))
        told.append(one)
    corrected = np.log([one.corrected for one in told])
    assert np.mean(plain) < -0.03
    assert abs(corrected.mean()) < 0.5 * abs(np.mean(plain))
    assert np.mean([one.low <= 1 <= one.high for one in told]) >= 0.8


def test_the_interval_reaches_as_far_as_that_of_the_chosen_class() -> None:
    """Of few classes far apart the bootstrap alone is too short: a class beside one of ten times the score."""
    held, alone = [], []
    for seed in range(20):
        plain, one = found(candidates(2, 24, seed, spread=2.3), seed)
        chosen = candidates(2, 24, seed, spread=2.3)[0]
        low, high = (chosen.score_of(end) for end in (chosen.end_point.high, chosen.end_point.low))
        assert one.low <= low <= plain <= high <= one.high
        held.append(one.low <= 1 <= one.high)
        alone.append(low <= 1 <= high)
    assert np.mean(held) >= max(0.85, np.mean(alone))


def test_draws_of_many_classes_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    of = candidates(6, 20, 0)
    whole = drawn_end_points(of, np.random.default_rng(0))
    monkeypatch.setattr("clever.untargeted.AT_ONCE", 6 * 20 * 30)
    parts = drawn_end_points(of, np.random.default_rng(0))
    assert whole.shape == parts.shape == (100, 6)
    assert parts[:30] == pytest.approx(whole[:30], rel=1e-3)
    assert parts.mean(0) == pytest.approx(whole.mean(0), rel=0.05)


def test_a_class_without_a_law_draws_its_own_maxima() -> None:
    some = candidates(2, 20, 0)
    repeated = np.repeat(np.float32([1, 2, 3, 4, 5]), 4)[:, None]
    (point,) = end_points(repeated.T, "profile")
    assert point.discrete
    drawn = drawn_end_points([Candidate(repeated, point, float), *some], np.random.default_rng(0))[:, 0]
    assert set(drawn.tolist()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert np.mean(drawn == 5) > 0.9


def test_a_class_far_below_the_others_has_no_bias_from_them() -> None:
    for seed in range(3):
        plain, one = found(candidates(6, 100, seed, spread=3.0))
        alone, other = found(candidates(6, 100, seed, spread=3.0)[:1])
        assert plain == alone
        assert one.corrected == pytest.approx(other.corrected, rel=0.1)


def test_classes_with_the_same_maxima_choose_nothing() -> None:
    """Drawn one by one, 12 equal classes would seem far more biased than a single one."""
    together = np.mean(
        [
            np.log(one.corrected / plain)
            for plain, one in map(found, (candidates(12, 30, s, shared=True) for s in range(2)))
        ]
    )
    apart = np.mean(
        [np.log(one.corrected / plain) for plain, one in map(found, (candidates(12, 30, s) for s in range(2)))]
    )
    assert abs(together) < 0.6 * apart


def test_scores_of_zero_and_infinity_are_left_alone() -> None:
    some = candidates(3, 20, 0)
    zero = replace(some[0], score_of=lambda end: 0.0)
    assert smallest([zero, *some], np.random.default_rng(0)) == Smallest(0.0, 0.0, 0.0)
    infinite = replace(some[0], score_of=lambda end: float("inf"))
    assert smallest([infinite], np.random.default_rng(0)) == Smallest(*[float("inf")] * 3)
    assert np.isfinite(smallest([infinite, *some], np.random.default_rng(0)).corrected)


def test_an_untargeted_score_knows_of_the_choice_and_a_targeted_one_has_none() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5)).eval()
    images = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    settings = clever.paper(n_batches=30, n_samples=8, radius={"L2": 0.5}, cap=False, estimator="profile")

    def scored() -> list[clever.Score]:
        return clever.score(network, images, settings, norms=["L2"], targets=["untargeted", "top2"], progress=False)

    whole, top2 = scored()
    assert top2.corrected == top2.score
    assert 0 < whole.low < whole.score < whole.high < np.inf
    assert whole.low < whole.corrected < whole.high
    assert whole.corrected != whole.score
    assert whole.score <= top2.score
    assert scored()[0].corrected == whole.corrected
    assert whole.row()["corrected"] == whole.corrected
