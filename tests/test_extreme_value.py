"""End points against known laws, against the authors' procedure in scipy, and on samples that have none."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import fmin
from scipy.stats import gumbel_l, kstest, weibull_min

from clever.errors import InputError
from clever.extreme_value.cutoffs import HIGH, LOW, RECIPROCAL_SHAPES, SIZES, cutoffs
from clever.extreme_value.estimators import Estimator, end_points
from clever.extreme_value.interval import intervals
from clever.extreme_value.maximum_likelihood import SHAPES
from clever.extreme_value.profile import BEND, Profile, fit_shape_scale
from conftest import ROOT

TRUE = 20.0


def simulated(shape: float, n_batches: int, samples: int, seed: int = 0) -> np.ndarray:
    return TRUE - np.random.default_rng(seed).weibull(shape, (samples, n_batches))


def loss(z: np.ndarray, shape: float, location: float, scale: float) -> float:
    return float(-weibull_min.logpdf(z, shape, location, scale).sum() + 0.01 * scale**2)


def authors(maxima: np.ndarray) -> tuple[float, float]:
    """End point and loss of the authors' mle_reg, by scipy's own fit and Nelder-Mead."""
    top, span = maxima.max(), np.ptp(maxima)
    z = (top - maxima) / span

    def penalised(objective: Callable[..., float], start: np.ndarray, args: tuple = (), disp: int = 0) -> np.ndarray:
        return fmin(lambda theta, x: objective(theta, x) + 0.01 * theta[2] ** 2, start, args=args, disp=0)

    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for shape in SHAPES:
            fit = weibull_min.fit(z, shape, optimizer=penalised, superfit=True)
            fits.append((kstest(z, "weibull_min", args=fit).pvalue, top - fit[1] * span, loss(z, *fit)))
    pvalue, end, lost = max(fits)
    return (end if pvalue >= 0.001 else top), lost


@pytest.mark.parametrize("shape", [2.0, 5.0, 15.0])
def test_known_end_points_are_recovered_better_than_by_the_sample_maximum(shape: float) -> None:
    maxima = simulated(shape, 500, 40)
    error = {
        method: np.median([abs(point.value - TRUE) for point in end_points(maxima, method)])
        for method in ("mle_reg", "mle", "profile", "maximum")
    }
    print(f"shape {shape}: median error {error}")
    assert error["mle_reg"] < 0.6 * error["maximum"]
    assert error["mle"] < 0.6 * error["maximum"]
    assert error["profile"] < 0.6 * error["maximum"]


@pytest.mark.parametrize("shape", [1.2, 2.0, 5.0])
@pytest.mark.parametrize("n_batches", [30, 200])
def test_mle_reg_gives_the_end_points_of_the_authors_procedure(shape: float, n_batches: int) -> None:
    """To a thousandth of the range of the maxima, or else Nelder-Mead stopped short of the optimum it was to find."""
    maxima, agree = simulated(shape, n_batches, 8, seed=1), 0
    for row, point in zip(maxima, end_points(maxima), strict=True):
        top, span = row.max(), np.ptp(row)
        end, lost = authors(row)
        if point.value == pytest.approx(end, abs=1e-3 * span):
            agree += 1
        else:
            ours = loss((top - row) / span, point.shape, (top - point.value) / span, point.scale / span)
            assert lost > ours
    assert agree >= 6


def test_a_fit_describes_the_law_it_comes_from() -> None:
    point = end_points(simulated(5.0, 4000, 1), "mle")[0]
    assert point.value == pytest.approx(TRUE, abs=0.1)
    assert point.shape == pytest.approx(5, rel=0.1)
    assert point.scale == pytest.approx(1, rel=0.1)
    assert point.ks_pvalue > 0.05
    assert point.start in SHAPES
    assert not point.fit_failed
    assert not point.degenerate
    assert point.sample_maximum < point.value


def test_end_points_move_with_the_unit() -> None:
    maxima = simulated(3.0, 60, 3)
    for one, thousand in zip(end_points(maxima), end_points(1000 * maxima), strict=True):
        assert thousand.value == pytest.approx(1000 * one.value, rel=1e-6)
        assert thousand.scale == pytest.approx(1000 * one.scale, rel=1e-6)
        assert thousand.shape == pytest.approx(one.shape, rel=1e-6)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    maxima = simulated(3.0, 60, 4)
    together = end_points(maxima)
    assert [end_points(row)[0].value for row in maxima] == pytest.approx([point.value for point in together], rel=1e-9)


@pytest.mark.parametrize("estimator", list(Estimator))
@pytest.mark.parametrize("value", [0.0, 3.25])
def test_equal_maxima_are_their_own_end_point(estimator: Estimator, value: float) -> None:
    point = end_points(np.full((1, 20, 2), value), estimator)[0]
    assert (point.value, point.degenerate, point.tied) == (value, True, 19)
    assert np.isnan(point.shape)
    if estimator is not Estimator.MAXIMUM:
        assert (point.low, point.high) == (value, value)


def test_maxima_that_differ_by_rounding_are_equal() -> None:
    point = end_points(np.float32(7) * (1 + np.linspace(0, 5e-7, 20))[None])[0]
    assert point.degenerate
    assert point.value == pytest.approx(7, rel=1e-6)


def test_a_sample_that_no_law_describes_falls_back_to_its_maximum() -> None:
    two_clumps = np.concatenate([np.linspace(1, 1.01, 150), np.linspace(9, 9.01, 150)])[None]
    point = end_points(two_clumps)[0]
    assert point.fit_failed
    assert point.value == point.sample_maximum == two_clumps.max()
    assert point.ks_pvalue < 0.001


def test_ties_are_counted() -> None:
    assert end_points(np.array([[1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 4.0]]))[0].tied == 3


@pytest.mark.parametrize("seed", range(5))
def test_the_end_point_is_never_below_the_sample_maximum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maxima = rng.choice([rng.normal(9, 1, (5, 12)), rng.exponential(1, (5, 12)), rng.uniform(0, 1, (5, 12))])
    for estimator in Estimator:
        for row, point in zip(maxima, end_points(maxima, estimator), strict=True):
            assert np.isfinite(point.value)
            assert point.value >= row.max()


def gumbel(n_batches: int, samples: int, seed: int = 0) -> np.ndarray:
    return 20 + np.random.default_rng(seed).gumbel(size=(samples, n_batches))


def rescaled(maxima: np.ndarray) -> np.ndarray:
    return (maxima.max(1, keepdims=True) - maxima) / np.ptp(maxima, axis=1)[:, None]


def test_where_no_end_point_is_likeliest_mle_does_not_fall_back_to_the_sample_maximum() -> None:
    maxima = gumbel(500, 20, seed=1)
    points = end_points(maxima, "mle")
    limited = [point.limited for point in points]
    assert not any(point.fit_failed for point in points)
    assert np.mean(limited) > 0.3  # the likelihood of about half of them has no maximum
    for row, point in zip(maxima[limited], np.array(points)[limited], strict=True):
        assert point.value == pytest.approx(row.max() + np.ptp(row), rel=1e-12)
        assert point.unbounded
        assert point.flatness < 0.1


@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "profile"])
def test_laws_without_an_end_point_are_noticed_and_laws_with_one_are_not_taken_for_them(estimator: str) -> None:
    without, known = end_points(gumbel(500, 20), estimator), end_points(simulated(5.0, 500, 20), estimator)
    assert np.mean([point.unbounded for point in without]) >= 0.9
    assert not any(point.unbounded for point in known)
    assert all(np.isinf(point.high) == point.unbounded for point in [*without, *known])
    assert np.median([point.flatness for point in without]) < 0.5
    assert np.median([point.flatness for point in known]) > 5


@pytest.mark.parametrize("n_batches", [32, 100, 500])
@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "profile"])
def test_many_zeros_do_not_lift_the_end_point(n_batches: int, estimator: str) -> None:
    rng = np.random.default_rng(0)
    maxima = rng.random((40, n_batches)) * (rng.random((40, n_batches)) < 0.4)
    for point in end_points(maxima, estimator):
        assert point.value == point.sample_maximum < 1  # it was up to 7.0 where 1 is the end point
        assert point.discrete
        assert point.fit_failed
        assert np.isnan([point.low, point.high, point.flatness]).all()


@pytest.mark.parametrize(("n_batches", "values"), [(32, 5), (32, 20), (100, 5), (100, 20), (500, 100)])
@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "profile"])
def test_tied_maxima_have_no_end_point_beyond_their_largest(n_batches: int, values: int, estimator: str) -> None:
    maxima = np.random.default_rng(0).integers(1, values + 1, (40, n_batches))
    for row, point in zip(maxima, end_points(maxima, estimator), strict=True):
        assert point.value == row.max()
        assert point.discrete


def test_ties_of_a_last_digit_count_and_a_single_tie_does_not() -> None:
    rng = np.random.default_rng(0)
    rounded = np.float32(rng.integers(3, 8, 60)) * (1 + 2.0**-23 * rng.integers(0, 2, 60))
    assert end_points(rounded[None])[0].discrete
    one = simulated(3.0, 16, 1)
    one[0, 0] = one[0, 1]
    assert not end_points(one)[0].discrete


def test_of_few_maxima_an_end_point_far_out_is_flagged_and_limited_by_profile() -> None:
    """Sample maxima of lognormal variables: fits reach beyond twice the sample maximum, and none is excluded."""
    maxima = np.exp(np.random.default_rng(5).normal(0, 0.5, (60, 32, 64))).max(2)
    free, limited = end_points(maxima, "mle_reg"), end_points(maxima, "profile")
    assert sum(point.value > 2 * point.sample_maximum for point in free) >= 2
    assert all(point.unbounded for point in free if point.value > 2 * point.sample_maximum)
    for row, one, other in zip(maxima, free, limited, strict=True):
        if other.unbounded:
            assert other.value <= row.max() + np.ptp(row) * (1 + 1e-9)
        if other.limited:
            assert other.unbounded
            assert one.value > row.max() + 0.5 * np.ptp(row)


@pytest.mark.parametrize("shape", [1.5, 2.0, 5.0, 15.0])
@pytest.mark.parametrize("n_batches", [16, 32, 100])
def test_intervals_hold_the_end_point_as_often_as_they_say(shape: float, n_batches: int) -> None:
    maxima = simulated(shape, n_batches, 600, seed=11)
    gap = (TRUE - maxima.max(1)) / np.ptp(maxima, axis=1)
    found = intervals(rescaled(maxima))
    assert 0.92 <= np.mean((found.low <= gap) & (gap <= found.high)) <= 0.98
    assert np.mean(found.low > gap) < 0.05
    assert np.mean(found.high < gap) < 0.05


def test_intervals_of_many_maxima_are_narrow() -> None:
    points = end_points(simulated(3.0, 500, 30), "profile")
    assert np.median([point.high - point.low for point in points]) < 0.3  # the law is 1 wide
    assert all(point.low >= point.sample_maximum for point in points)


def test_the_profile_likelihood_is_that_of_scipys_fits() -> None:
    """At the ends of the interval it is below the best by the cutoff, at infinity, the Gumbel law, by the flatness."""
    maxima = simulated(4.0, 200, 4, seed=3)
    z = rescaled(maxima)
    found = intervals(z)

    def scipys(row: np.ndarray, gap: float) -> tuple[float, float]:
        fitted = weibull_min.fit(row, floc=-gap)
        return float(weibull_min.logpdf(row, *fitted).sum()), 1 / fitted[0]

    for k, row in enumerate(z):
        best, _ = scipys(row, found.best[k])
        for side, gap in enumerate((found.low[k], found.high[k])):
            there, reciprocal = scipys(row, gap)
            assert 2 * (best - there) == pytest.approx(cutoffs(200, np.array([reciprocal]))[side][0], rel=1e-2)
        without = float(gumbel_l.logpdf(row, *gumbel_l.fit(row)).sum())
        assert found.flatness[k] == pytest.approx(best - without, rel=1e-3)
        assert best >= max(scipys(row, factor * found.best[k])[0] for factor in (0.9, 1.1))


@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "profile"])
def test_an_interval_holds_the_value_and_moves_with_the_unit(estimator: str) -> None:
    maxima = np.concatenate([simulated(1.2, 40, 4), simulated(6.0, 40, 4), gumbel(40, 4)])
    for one, thousand in zip(end_points(maxima, estimator), end_points(1024 * maxima, estimator), strict=True):
        if one.fit_failed:
            continue
        assert one.sample_maximum <= one.low <= one.value <= one.high
        assert (thousand.low, thousand.high) == pytest.approx((1024 * one.low, 1024 * one.high), rel=1e-9)
        assert thousand.flatness == pytest.approx(one.flatness, rel=1e-6)


def test_profile_is_the_best_of_the_likelihood_and_describes_the_law() -> None:
    for best, point in zip(
        end_points(simulated(5.0, 500, 20), "mle"), end_points(simulated(5.0, 500, 20), "profile"), strict=True
    ):
        for name in ("value", "shape", "scale"):
            assert getattr(point, name) == pytest.approx(getattr(best, name), rel=2e-2)
        assert point.ks_pvalue == pytest.approx(best.ks_pvalue, abs=0.02)
        assert not point.limited


@pytest.mark.parametrize(
    ("maxima", "estimator", "message"),
    [
        ([1, 2, np.nan, 4, 5], "mle_reg", "maximum 2 of sample 0 is nan"),
        ([1, 2, np.inf, 4, 5], "mle", "is inf: maxima must be finite"),
        ([1, 2, -3, 4, 5], "mle", "never negative"),
        ([1, 2, 3, 4], "mle_reg", "needs at least 5"),
        ([1, 2, 3, 4, 5], "moments", "one of mle_reg, mle, maximum, profile, r_largest"),
    ],
)
def test_what_is_no_sample_is_refused(maxima: list[float], estimator: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        end_points(np.array([maxima], dtype=np.float64), estimator)


def test_the_cutoffs_are_those_that_the_benchmark_found() -> None:
    made = pd.read_csv(ROOT / "benchmarks" / "results" / "cutoffs.csv").set_index(["N_b", "reciprocal shape"])
    for table, side in ((LOW, "low"), (HIGH, "high")):
        found = made[side].unstack().loc[list(SIZES), list(RECIPROCAL_SHAPES)]
        assert np.array_equal(table, found.to_numpy())


def largest_of(shape: float, n_batches: int, samples: int, kept: int = 8, seed: int = 0) -> np.ndarray:
    """The largest of very many points a batch: a Poisson process, whose counting function is a power of the gap."""
    arrivals = np.random.default_rng(seed).exponential(size=(samples, n_batches, kept)).cumsum(axis=2)
    return TRUE - (arrivals ** (1 / shape) if np.isfinite(shape) else np.log(arrivals))


@pytest.mark.parametrize(("shape", "n_batches"), [(2.0, 32), (5.0, 32), (5.0, 100), (15.0, 100)])
def test_intervals_of_several_values_hold_the_end_point(shape: float, n_batches: int) -> None:
    points = end_points(largest_of(shape, n_batches, 400), "r_largest")
    assert 0.91 <= np.mean([point.low <= TRUE <= point.high for point in points]) <= 0.98
    assert np.mean([point.low > TRUE for point in points]) < 0.06
    assert np.mean([point.high < TRUE for point in points]) < 0.06


def test_more_values_of_each_batch_make_a_better_end_point() -> None:
    largest = largest_of(5.0, 100, 200)
    error, width = {}, {}
    for estimator in ("profile", "r_largest"):
        points = end_points(largest, estimator)
        error[estimator] = np.sqrt(np.mean([(point.value - TRUE) ** 2 for point in points]))
        width[estimator] = np.mean([point.unbounded for point in points])
    assert error["r_largest"] < 0.7 * error["profile"]
    assert width["r_largest"] < 0.1 < width["profile"]


def test_several_values_describe_the_law_of_the_maxima() -> None:
    for point in end_points(largest_of(4.0, 2000, 3), "r_largest"):
        assert point.value == pytest.approx(TRUE, abs=0.15)
        assert point.shape == pytest.approx(4, rel=0.15)
        assert point.scale == pytest.approx(1, rel=0.1)
        assert point.ks_pvalue > 0.01
        assert not point.fit_failed
        assert not point.unbounded


def test_several_values_of_a_law_without_an_end_point_are_limited() -> None:
    for point in end_points(largest_of(np.inf, 200, 20), "r_largest"):
        assert point.value <= point.high
        if point.limited:
            assert point.unbounded
    assert np.mean([point.unbounded for point in end_points(largest_of(np.inf, 200, 100), "r_largest")]) >= 0.9


def test_the_likelihood_of_the_r_largest_is_the_product_of_its_densities() -> None:
    largest = largest_of(3.0, 40, 1, kept=4)[0]
    reach = largest.max() - largest.min()
    z = (largest.max() - largest) / reach

    def log_likelihood(gap: float, shape: float, scale: float) -> float:
        w = (z + gap) / scale
        return float((np.log(shape / scale) + (shape - 1) * np.log(w)).sum() - (w[:, -1] ** shape).sum())

    gap = 0.4
    shape, scale = (float(found[0]) for found in fit_shape_scale(z[None], np.array([gap])))
    best = log_likelihood(gap, shape, scale)
    value, reciprocal = Profile(z[None])(np.log1p(1 / (gap * np.array([BEND]))))
    assert value[0] == pytest.approx(best, rel=1e-6)
    assert reciprocal[0] == pytest.approx(1 / shape)
    for other in (0.98, 1.02):
        assert log_likelihood(gap, other * shape, scale) < best
        assert log_likelihood(gap, shape, other * scale) < best


def test_ties_within_batches_leave_no_law_and_many_values_close_by_chance_do() -> None:
    largest = largest_of(3.0, 50, 1)
    repeated = largest.copy()
    repeated[:, :, 1] = repeated[:, :, 0]
    assert end_points(repeated, "r_largest")[0].discrete
    assert not end_points(repeated, "profile")[0].discrete
    close = 30 + largest_of(15.0, 500, 1)  # of 4000 values, all together, many differ by a last digit of float32
    assert not end_points(close, "r_largest")[0].discrete


def test_values_that_are_not_sorted_are_refused() -> None:
    with pytest.raises(InputError, match="descending order"):
        end_points(largest_of(3.0, 10, 1)[:, :, ::-1], "r_largest")
