"""The second-order closed formula: against its definition, at its limits, and against true distances."""

from decimal import Decimal, getcontext

import numpy as np
import pytest

from clever.bounds.formulas import second_order
from clever.errors import InputError

INF = float("inf")
CASES = [  # margin, gradient norm, curvature, radius, bound
    (1.0, 2.0, 0.0, INF, 0.5),  # M = 0: first order with the gradient at the image
    (2.0, 0.0, 4.0, INF, 1.0),  # b = 0
    (1.0, 0.0, 0.0, 3.0, 3.0),  # both 0: the margin does not fall
    (1.0, 0.0, 0.0, INF, INF),
    (4.0, 1.0, 1.0, INF, 2.0),  # d + d^2 / 2 = 4
    (4.0, 1.0, 1.0, 1.5, 1.5),  # capped
    (0.0, 0.0, 0.0, 3.0, 0.0),
    (0.0, 1.0, 1.0, 3.0, 0.0),
    (-1.0, 1.0, 1.0, 3.0, 0.0),  # already the other class
    (1.0, 1.0, INF, 3.0, 0.0),
    (1.0, INF, 1.0, 3.0, 0.0),
    (1.0, 1e200, 1e200, 3.0, 1e-200),  # the squares overflow
    (1e-200, 1e-200, 1e-200, 3.0, 3.0**0.5 - 1),  # the squares underflow: d + d^2 / 2 = 1
]


@pytest.mark.parametrize(("margin", "gradient", "curvature", "radius", "bound"), CASES)
def test_bound(margin, gradient, curvature, radius, bound):
    assert second_order(margin, gradient, curvature, radius) == pytest.approx(bound, rel=1e-14)


def test_stable_over_forty_orders_of_magnitude_of_the_curvature():
    getcontext().prec = 60
    for exponent in range(-20, 21):
        g, b, m = Decimal("1.7"), Decimal("0.3"), Decimal(10) ** exponent
        exact = (-b + (b * b + 2 * m * g).sqrt()) / m
        assert second_order(1.7, 0.3, 10.0**exponent, INF) == pytest.approx(float(exact), rel=1e-14)


def test_numpy_arrays_broadcast():
    bounds = second_order(np.array([[1.0], [2.0]]), np.array([1.0, 2.0, 0.0]), 0.0, 10.0)
    assert bounds.dtype == np.float64
    np.testing.assert_allclose(bounds, [[1.0, 0.5, 10.0], [2.0, 1.0, 10.0]])


def test_the_bound_is_the_distance_along_the_worst_direction():
    # g(x) = g + a x - m x^2 / 2 falls fastest where its linear and its quadratic part fall together.
    generator = np.random.default_rng(0)
    g, b, m = generator.uniform(0.1, 2, (3, 100))
    bound = second_order(g, b, m, INF)
    np.testing.assert_allclose(g - b * bound - m * bound**2 / 2, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((1.0, -1.0, 1.0, 1.0), "gradient_norm"),
        ((1.0, 1.0, -1e-9, 1.0), "curvature"),
        ((1.0, 1.0, 1.0, -1.0), "radius"),
        ((1.0, float("nan"), 1.0, 1.0), "gradient_norm"),
        ((float("nan"), 1.0, 1.0, 1.0), "margin"),
        ((INF, 1.0, 1.0, 1.0), "margin"),
        ((1.0, np.array([1.0, -1.0]), 1.0, 1.0), "gradient_norm"),
    ],
)
def test_undefined_numbers_are_refused(arguments, named):
    with pytest.raises(InputError, match=named):
        second_order(*arguments)
