"""The smallest of many noisy scores, against a truth that is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import clever
from clever.extreme_value import end_points
from clever.untargeted import Candidate, Smallest, smallest

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
        Candidate(row.astype(np.float32), point, lambda end, margin=margin: float(margin / end))
        for row, point, margin in zip(maxima, end_points(maxima, "profile"), margins, strict=True)
    ]


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
    assert 0 < whole.low < whole.corrected < whole.high < np.inf
    assert whole.score <= top2.score
    assert scored()[0].corrected == whole.corrected
    assert whole.row()["corrected"] == whole.corrected
