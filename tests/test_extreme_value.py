"""End points against known laws, against the authors' procedure in scipy, and on samples that have none."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import fmin
from scipy.stats import kstest, weibull_min

from clever.errors import InputError
from clever.extreme_value import SHAPES, Estimator, end_points

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
        for method in ("mle_reg", "mle", "maximum")
    }
    print(f"shape {shape}: median error {error}")
    assert error["mle_reg"] < 0.6 * error["maximum"]
    assert error["mle"] < 0.6 * error["maximum"]


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
    assert not point.fell_back
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
    point = end_points(np.full((1, 20), value), estimator)[0]
    assert (point.value, point.degenerate, point.tied) == (value, True, 19)
    assert np.isnan(point.shape)


def test_maxima_that_differ_by_rounding_are_equal() -> None:
    point = end_points(np.float32(7) * (1 + np.linspace(0, 5e-7, 20))[None])[0]
    assert point.degenerate
    assert point.value == pytest.approx(7, rel=1e-6)


def test_a_sample_that_no_law_describes_falls_back_to_its_maximum() -> None:
    two_clumps = np.concatenate([np.linspace(1, 1.01, 150), np.linspace(9, 9.01, 150)])[None]
    point = end_points(two_clumps)[0]
    assert point.fell_back
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


@pytest.mark.parametrize(
    ("maxima", "estimator", "message"),
    [
        ([1, 2, np.nan, 4, 5], "mle_reg", "maximum 2 of sample 0 is nan"),
        ([1, 2, np.inf, 4, 5], "mle", "is inf: maxima must be finite"),
        ([1, 2, -3, 4, 5], "mle", "never negative"),
        ([1, 2, 3, 4], "mle_reg", "needs at least 5"),
        ([1, 2, 3, 4, 5], "moments", "one of mle_reg, mle, maximum"),
    ],
)
def test_what_is_no_sample_is_refused(maxima: list[float], estimator: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        end_points(np.array([maxima], dtype=np.float64), estimator)
