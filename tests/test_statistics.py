"""Intervals on simulated images and networks whose truth is known."""

import math

import numpy as np
import pytest

from pipeline.shared.stats.statistics import (
    binomial_interval,
    log_ratio,
    mean_interval,
    min_units,
    statistic_interval,
    std_interval,
)


@pytest.mark.parametrize("images", [8, 40])
def test_the_interval_covers_the_mean_as_often_as_it_says(images: int) -> None:
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in (mean_interval(rng.normal(size=images), k) for k in range(400))]
    assert 0.92 < np.mean(covered) < 0.98


def test_the_unit_is_the_image() -> None:
    """Nine nearly equal values of each of 20 images are not 180 images."""
    rng, of_image = np.random.default_rng(0), np.repeat(np.arange(20), 9)
    together, apart = [], []
    for seed in range(300):
        values = np.repeat(rng.normal(size=20), 9) + 0.1 * rng.normal(size=180)
        for images, covered in ((of_image, together), (None, apart)):
            low, high = mean_interval(values, seed, images=images)
            covered.append(low <= 0 <= high)
    assert 0.92 < np.mean(together) < 0.98
    assert np.mean(apart) < 0.6


def test_images_of_unequal_numbers_of_values_count_by_their_values() -> None:
    values, images = [0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"]
    low, high = mean_interval(values * 50, 0, images=[f"{image}{copy}" for copy in range(50) for image in images])
    assert 0.6 < low < 0.75 < high < 0.9


def test_too_few_images_have_no_interval() -> None:
    five = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert np.isnan(mean_interval(five, 0)).all()
    assert np.isnan(mean_interval(five * 3, 0, images=list("abcde") * 3)).all()
    assert np.isfinite(mean_interval(five, 0, level=0.9)).all()
    assert np.isfinite(mean_interval([*five, 6.0], 0)).all()


NETWORKS, IMAGES = np.repeat(np.arange(5), 12), np.tile(np.arange(12), 5)


@pytest.mark.parametrize(("between_networks", "between_images"), [(0.3, 0.1), (0.1, 0.4)])
def test_networks_and_images_are_both_drawn(between_networks: float, between_images: float) -> None:
    """Five networks see the same twelve images: an interval that leaves out what varies more misses too often."""
    rng, covered = np.random.default_rng(0), {"both": [], "images": [], "networks": []}
    units = {"images": {"images": IMAGES}, "networks": {"networks": NETWORKS}}
    units["both"] = units["images"] | units["networks"]
    for seed in range(300):
        values = (
            (between_networks * rng.normal(size=5))[NETWORKS]
            + (between_images * rng.normal(size=12))[IMAGES]
            + 0.1 * rng.normal(size=60)
        )
        for name, drawn in units.items():
            low, high = mean_interval(values, seed, level=0.9, **drawn)
            covered[name].append(low <= 0 <= high)
    assert 0.86 < np.mean(covered["both"]) < 0.95
    assert min(np.mean(covered["images"]), np.mean(covered["networks"])) < 0.75


def test_images_are_the_same_for_all_networks() -> None:
    """What all networks have in common of an image does not become less by more networks."""
    of_image = np.random.default_rng(0).normal(size=12)
    alone = np.subtract(*mean_interval(of_image, 0, level=0.9))
    low, high = mean_interval(of_image[IMAGES], 0, images=IMAGES, networks=NETWORKS, level=0.9)
    assert low - high == pytest.approx(alone, rel=0.1)


def test_a_unit_of_which_there_are_too_few_leaves_no_interval() -> None:
    four = NETWORKS < 4
    values = np.random.default_rng(0).normal(size=60)
    both = {"images": IMAGES, "networks": NETWORKS}
    assert np.isfinite(mean_interval(values, 0, **both, level=0.9)).all()
    assert np.isnan(mean_interval(values, 0, **both)).all()
    assert np.isnan(mean_interval(values[four], 0, images=IMAGES[four], networks=NETWORKS[four], level=0.9)).all()
    assert [min_units(level) for level in (0.9, 0.95)] == [5, 6]


def test_pairs_that_are_missing_and_values_that_are_infinite() -> None:
    """A network that lacks all images but one counts by that one; one infinite value shows in the upper end alone."""
    known = (NETWORKS > 0) | (IMAGES == 0)
    values = np.where(NETWORKS > 0, 1.0, 100.0)[known]
    low, high = mean_interval(values, 0, images=IMAGES[known], networks=NETWORKS[known], level=0.9)
    assert low == 1.0 < high < 100.0
    values[-1] = np.inf
    low, high = mean_interval(values, 0, images=IMAGES[known], networks=NETWORKS[known], level=0.9)
    assert (low, high) == (1.0, np.inf)


def test_ratios_that_are_not_defined_are_none() -> None:
    ratios = log_ratio([1, 0, 1, np.inf, 1], [math.e, 1, 0, 1, np.inf])
    assert ratios[0] == pytest.approx(-1)
    assert list(np.isnan(ratios)) == [False, True, True, False, True]
    assert ratios[3] == np.inf


def test_shares_have_exact_intervals() -> None:
    assert binomial_interval(0, 20) == pytest.approx((0, 0.16843), abs=1e-5)


@pytest.mark.parametrize("images", [16, 24, 50, 99])
@pytest.mark.parametrize(("law", "spread", "least"), [("normal", 1.0, 0.92), ("gumbel", math.pi / math.sqrt(6), 0.87)])
def test_the_interval_of_a_spread_covers_it_as_often_as_it_says(
    law: str, spread: float, least: float, images: int
) -> None:
    """Of a skewed law nearly; percentiles of the bootstrap cover the normal law's in 84 % of samples of 16."""
    rng = np.random.default_rng(0)
    covered = [low < spread < high for low, high in (std_interval(getattr(rng, law)(size=images)) for _ in range(1500))]
    assert least < np.mean(covered) < 0.97


def test_the_interval_of_a_spread_has_its_unit_and_needs_values_that_differ() -> None:
    values = np.random.default_rng(0).normal(size=20)
    assert std_interval(3 * values + 7) == pytest.approx([3 * end for end in std_interval(values)])
    assert np.isnan(std_interval(values[:5])).all()
    assert np.isfinite(std_interval(values[:6])).all()
    assert np.isnan(std_interval(np.ones(20))).all()


def test_a_resampled_mean_has_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=20)
    found = statistic_interval(lambda drawn: values[drawn].mean(1), len(values), 0)
    assert found == pytest.approx(mean_interval(values, 0), abs=0.02)
    assert np.isnan(statistic_interval(lambda drawn: values[drawn].mean(1), 5, 0)).all()
