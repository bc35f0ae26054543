"""Goodness of fit on samples whose law is known: p-values are uniform under it and small where it is another."""

import numpy as np
import pytest
from scipy.stats import anderson, genextreme, gumbel_r, kstest

from clever.errors import InputError
from clever.extreme_value.goodness import Goodness, goodness_of_fit

SIDES = ("less", "greater")
"""Of the Kolmogorov-Smirnov distance."""


def found(maxima: np.ndarray, replicates: int = 39) -> list[Goodness]:
    return [goodness_of_fit(20 + row, np.random.default_rng(k), replicates) for k, row in enumerate(maxima)]


@pytest.mark.parametrize("shape", [3.0, np.inf])
def test_p_values_of_the_true_law_are_uniform(shape: float) -> None:
    """Plain K-S p-values of a law with fitted parameters would be above 0.5 for nearly all of them."""
    power = np.random.default_rng(0).exponential(size=(50, 30))
    told = found(-(power ** (1 / shape)) if np.isfinite(shape) else -np.log(power))
    for name in ("ks_pvalue", "ad_pvalue"):
        pvalues = np.array([getattr(one, name) for one in told])
        assert 0.35 < pvalues.mean() < 0.65
        assert 0.02 <= np.mean(pvalues <= 0.1) <= 0.22


def test_p_values_are_those_of_the_fitted_law() -> None:
    """Near shape 1 both distances are larger than under the Gumbel law, by which 7 of 10 samples would be rejected."""
    told = found(-(np.random.default_rng(0).exponential(size=(40, 20)) ** (1 / 1.05)))
    pvalues = np.array([one.ad_pvalue for one in told])
    assert 0.4 < pvalues.mean() < 0.7
    assert np.mean(pvalues <= 0.1) < 0.2


def test_two_clumps_are_no_sample_of_the_law() -> None:
    rng = np.random.default_rng(0)
    clumps = rng.normal(0, 0.2, (5, 60)) + 5 * (rng.random((5, 60)) < 0.5)
    for one in found(clumps):
        assert one.ks_pvalue <= 0.05
        assert one.ad_pvalue <= 0.05


@pytest.mark.parametrize(
    ("index", "bounded", "heavy"),
    [(1 / 2.5, (0.9, 1), (0, 0.1)), (0.0, (0, 0.15), (0, 0.15)), (-0.5, (0, 0.1), (0.9, 1))],
)
def test_the_shape_is_told(index: float, bounded: tuple[float, float], heavy: tuple[float, float]) -> None:
    """Shares of samples, of 100 maxima, that reject the Gumbel law for one with an end point, and for a heavier one."""
    maxima = genextreme.rvs(index, size=(20, 100), random_state=np.random.default_rng(1))
    told = found(maxima)
    assert bounded[0] <= np.mean([one.bounded_pvalue <= 0.05 for one in told]) <= bounded[1]
    assert heavy[0] <= np.mean([one.heavy_pvalue <= 0.05 for one in told]) <= heavy[1]


def test_the_likelihood_ratios_are_those_of_scipys_fits() -> None:
    for index in (-0.3, 0.3):
        row = genextreme.rvs(index, size=200, random_state=np.random.default_rng(2))
        (one,) = found(row[None], replicates=1)
        free, gumbel = genextreme.fit(row), genextreme.fit(row, f0=0)
        ratio = 2 * (genextreme.logpdf(row, *free).sum() - genextreme.logpdf(row, *gumbel).sum())
        assert (one.bounded if index > 0 else one.heavy) == pytest.approx(ratio, rel=0.05)
        assert (one.heavy if index > 0 else one.bounded) < 0.2


@pytest.mark.filterwarnings("ignore:As of SciPy:FutureWarning")  # of the p-value, which is not asked for
@pytest.mark.parametrize("seed", [0, 9])
def test_both_distances_are_scipys(seed: int) -> None:
    """Of samples whose maximum-likelihood fit is the Gumbel law, the first farthest below it, the second above."""
    row = np.random.default_rng(seed).gumbel(size=80)
    (one,) = found(row[None], replicates=1)
    assert one.bounded == pytest.approx(0, abs=1e-9)
    sides = {side: kstest(row, gumbel_r(*gumbel_r.fit(row)).cdf, alternative=side).statistic for side in SIDES}
    assert max(SIDES, key=lambda side: sides[side]) == SIDES[seed > 0]
    assert one.ks == pytest.approx(max(sides.values()), rel=1e-4)
    assert one.ad == pytest.approx(anderson(row, "gumbel_r").statistic, rel=1e-4)


def test_the_same_generator_gives_the_same_numbers() -> None:
    row = np.random.default_rng(0).gumbel(size=30)
    assert found(row[None]) == found(row[None])


@pytest.mark.parametrize("maxima", [np.ones(20), np.repeat([1.0, 2.0, 3.0], 10), np.arange(4.0), np.ones((2, 20))])
def test_what_has_no_continuous_law_is_refused(maxima: np.ndarray) -> None:
    with pytest.raises(InputError, match="maxima"):
        goodness_of_fit(maxima, np.random.default_rng(0))
