"""Maximum likelihood of the three-parameter Weibull law, for many samples and many starts at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_NEWTON_STEPS = 200
"""The limit of Newton steps; 10 to 30 are typical."""
GRADIENT_TOLERANCE = 1e-9
"""A fit has converged when no component of its gradient, divided by the number of observations, is larger."""
LOG_BOUNDS = np.log(np.array([[1e-10, 1e-2, 1e-6], [1e4, 1e4, 1e4]]))
"""Bounds of log(gap), log(shape), log(scale): the search stops here where the likelihood has no maximum."""


@dataclass(frozen=True)
class Fit:
    """Parameters of P(Z <= z) = 1 - exp(-((z + gap)/scale)^shape), (samples, starts) each.

    ``interior``: the search ended at a vanishing gradient, not at a bound.
    """

    gap: Array
    shape: Array
    scale: Array
    loss: Array
    interior: NDArray[np.bool_]


def minimise(z: Array, starts: Array, penalty: float) -> Fit:
    """Local minima of -log likelihood(gap, shape, scale) + penalty * scale^2.

    ``z``: (samples, observations), non-negative with a zero in each row, so that gap > 0 is the distance from the
    smallest observation to the law's end point. ``starts``: (starts, 3), the initial (gap, shape, scale). Newton's
    method in the logarithms of the parameters, with the absolute values of the Hessian's eigenvalues and a trust
    region that shrinks when the loss does not fall.
    """
    theta = np.broadcast_to(np.log(starts), (len(z), *starts.shape)).copy()
    loss, gradient, hessian = _derivatives(z, theta, penalty)
    reach = np.ones(theta.shape[:2])
    for _ in range(MAX_NEWTON_STEPS):
        values, vectors = np.linalg.eigh(hessian)
        damped = np.maximum(np.abs(values), 1e-10 * np.abs(values).max(-1, keepdims=True) + 1e-300)
        step = -np.einsum("...ij,...j,...kj,...k->...i", vectors, 1 / damped, vectors, gradient)
        length = np.linalg.norm(step, axis=-1)
        step *= np.minimum(1, reach / np.maximum(length, 1e-300))[..., None]
        moved = np.clip(theta + step, *LOG_BOUNDS)
        new = _derivatives(z, moved, penalty)
        better = new[0] <= loss
        reach = np.where(better, np.minimum(4.0, 2 * reach), np.minimum(reach, length) / 4)
        change = np.abs(moved - theta).max(-1)
        theta = np.where(better[..., None], moved, theta)
        loss = np.where(better, new[0], loss)
        gradient = np.where(better[..., None], new[1], gradient)
        hessian = np.where(better[..., None, None], new[2], hessian)
        if np.all((change < 1e-12) | (reach < 1e-12) | (_slope(gradient, z) < GRADIENT_TOLERANCE)):
            break
    gap, shape, scale = np.moveaxis(np.exp(theta), -1, 0)
    inside = np.all((theta > LOG_BOUNDS[0] + 1e-6) & (theta < LOG_BOUNDS[1] - 1e-6), axis=-1)
    interior = inside & (_slope(gradient, z) < 1e-5)
    return Fit(gap, shape, scale, loss, interior)


def kolmogorov_smirnov(z: Array, gap: Array, shape: Array, scale: Array) -> tuple[Array, Array]:
    """The K-S statistic and p-value of each sample against each of its laws, (samples, laws) both.

    The p-value ignores that the parameters were fitted to the same data, and is therefore too large.
    """
    n = z.shape[-1]
    ratio = (np.sort(z)[:, None, :] + gap[..., None]) / scale[..., None]
    cdf = 1.0 - np.exp(-(ratio ** shape[..., None]))
    below, above = np.arange(n) / n, np.arange(1, n + 1) / n
    from scipy.stats import kstwo  # slow to import (0.5 s), not needed by attacks and training

    statistic = np.maximum(above - cdf, cdf - below).max(-1)
    return statistic, kstwo.sf(statistic, n)


def _slope(gradient: Array, z: Array) -> Array:
    slope: Array = np.abs(gradient).max(-1) / z.shape[-1]
    return slope


def _derivatives(z: Array, theta: Array, penalty: float) -> tuple[Array, Array, Array]:
    """Loss, gradient and Hessian in (log gap, log shape, log scale)."""
    n = z.shape[-1]
    log_a, log_c, log_s = np.moveaxis(theta, -1, 0)
    a, c = np.exp(log_a), np.exp(log_c)
    ridge = penalty * np.exp(2 * log_s)
    w = z[:, None, :] + a[..., None]
    log_w = np.log(w)
    u = log_w - log_s[..., None]
    # Limited to exp(60), which avoids overflow: such a point is rejected anyway.
    e = np.exp(np.minimum(c[..., None] * u, 60.0))
    inverse, eu, ew = 1 / w, e * u, e / w

    def total(term: Array) -> Array:
        result: Array = term.sum(-1)
        return result

    sum_log, sum_e, sum_eu, sum_inverse, sum_ew = map(total, (log_w, e, eu, inverse, ew))
    loss = -n * log_c + n * c * log_s - (c - 1) * sum_log + sum_e + ridge
    by_c = -n / c + n * log_s - sum_log + sum_eu
    by_a = -(c - 1) * sum_inverse + c * sum_ew
    gradient = np.stack([a * by_a, c * by_c, n * c - c * sum_e + 2 * ridge], axis=-1)
    aa = a**2 * (c - 1) * (total(inverse**2) + c * total(ew * inverse)) + a * by_a
    cc = n + c**2 * total(eu * u) + c * by_c
    ss = c**2 * sum_e + 4 * ridge
    ac = a * c * (-sum_inverse + sum_ew + c * total(eu * inverse))
    as_ = -a * c**2 * sum_ew
    cs = c * (n - sum_e - c * sum_eu)
    hessian = np.stack([aa, ac, as_, ac, cc, cs, as_, cs, ss], axis=-1).reshape(*a.shape, 3, 3)
    return loss, gradient, hessian
