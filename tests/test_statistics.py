"""Intervals and verdicts on simulated images whose truth is known."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.shared.statistics import NEAR, Equivalence, Verdict, interval, log_ratio, share_interval


@pytest.mark.parametrize("images", [8, 40])
def test_the_interval_covers_the_mean_as_often_as_it_says(images: int) -> None:
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in (interval(rng.normal(size=images), k) for k in range(400))]
    assert 0.92 < np.mean(covered) < 0.98


def test_the_unit_is_the_image() -> None:
    """Nine nearly equal values of each of 20 images are not 180 images."""
    rng, of_image = np.random.default_rng(0), np.repeat(np.arange(20), 9)
    together, apart = [], []
    for seed in range(300):
        values = np.repeat(rng.normal(size=20), 9) + 0.1 * rng.normal(size=180)
        for images, covered in ((of_image, together), (None, apart)):
            low, high = interval(values, seed, images=images)
            covered.append(low <= 0 <= high)
    assert 0.92 < np.mean(together) < 0.98
    assert np.mean(apart) < 0.6


def test_images_of_unequal_numbers_of_values_count_by_their_values() -> None:
    values, images = [0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"]
    low, high = interval(values * 50, 0, images=[f"{image}{copy}" for copy in range(50) for image in images])
    assert 0.6 < low < 0.75 < high < 0.9


def test_too_few_images_have_no_interval() -> None:
    five = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert np.isnan(interval(five, 0)).all()
    assert np.isnan(interval(five * 3, 0, images=list("abcde") * 3)).all()
    assert np.isfinite(interval(five, 0, level=0.9)).all()
    assert np.isfinite(interval([*five, 6.0], 0)).all()


def test_ratios_that_are_not_defined_are_none() -> None:
    ratios = log_ratio([1, 0, 1, np.inf, 1], [math.e, 1, 0, 1, np.inf])
    assert ratios[0] == pytest.approx(-1)
    assert list(np.isnan(ratios)) == [False, True, True, False, True]
    assert ratios[3] == np.inf


def equivalence(mean: float, images: int, seed: int, spread: float = 0.3) -> Equivalence:
    rng = np.random.default_rng(seed)
    of_image = math.log(mean) + spread * rng.normal(size=images)
    ratios = np.repeat(of_image, 3) + 0.05 * rng.normal(size=3 * images)
    return Equivalence.of(pd.Series(ratios), pd.Series(np.repeat(np.arange(images), 3)).astype(str), seed)


def test_about_the_same_is_an_equivalence() -> None:
    assert equivalence(1.0, 100, 0).verdict is Verdict.HOLDS
    assert equivalence(1.6, 100, 0).verdict is Verdict.FAILS
    few = equivalence(1.0, 6, 3)
    assert few.verdict is Verdict.UNDECIDED
    assert "undecided: about" in str(few)
    nothing = Equivalence.of(pd.Series([np.nan]), pd.Series(["a"]), 0)
    assert (nothing.verdict, nothing.images) == (Verdict.UNTESTED, 0)


def test_a_ratio_at_the_bound_passes_as_rarely_as_the_level_says() -> None:
    verdicts = [equivalence(NEAR[1], 40, seed, spread=0.1).verdict for seed in range(300)]
    assert verdicts.count(Verdict.HOLDS) / 300 < 0.08
    assert verdicts.count(Verdict.FAILS) / 300 < 0.08


def test_the_number_that_would_decide_does() -> None:
    few = [found for seed in range(40) if (found := equivalence(1.0, 6, seed)).verdict is Verdict.UNDECIDED]
    decided = [equivalence(found.mean, math.ceil(1.5 * found.needed), 1).verdict for found in few if found.needed < 500]
    assert len(decided) > 10
    assert np.mean([verdict is not Verdict.UNDECIDED for verdict in decided]) > 0.8


def test_a_statement_of_all_is_as_good_as_its_worst_part() -> None:
    holds, fails, undecided = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED
    assert Verdict.of_all([]) is Verdict.UNTESTED
    assert Verdict.of_all([holds, holds]) is holds
    assert Verdict.of_all([holds, undecided]) is undecided
    assert Verdict.of_all([undecided, fails, holds]) is fails


def test_shares_have_exact_intervals() -> None:
    assert share_interval(0, 20) == pytest.approx((0, 0.16843), abs=1e-5)
