"""Maximum likelihood of the three-parameter Weibull law, for many samples and many starts at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 200
"""Newton steps at the most; 10 to 30 are usual."""
FLAT = 1e-9
"""A start has converged when no component of the gradient exceeds this, in units of the number of observations."""
LOGS = np.log(np.array([[1e-10, 1e-2, 1e-6], [1e4, 1e4, 1e4]]))
"""Bounds of log(gap), log(shape), log(scale): where the likelihood has no maximum, the search ends here."""


@dataclass(frozen=True)
class Fit:
    """Parameters of P(Z <= z) = 1 - exp(-((z + gap)/scale)^shape), one of each a sample and start.

    ``interior``: the search ended at a point where the gradient vanishes, not at a bound.
    """

    gap: Array
    shape: Array
    scale: Array
    loss: Array
    interior: NDArray[np.bool_]


def minimise(z: Array, starts: Array, penalty: float) -> Fit:
    """Local minima of  -log likelihood(gap, shape, scale) + penalty * scale^2.

    ``z``: (samples, observations), non-negative with a zero in each row, so that gap > 0 is the distance from the
    smallest observation to the law's end point. ``starts``: (starts, 3), the (gap, shape, scale) to start from.
    Returns arrays (samples, starts). Newton's method in the logarithms, with the Hessian's eigenvalues made positive
    and a step that is halved until the loss falls.
    """
    theta = np.broadcast_to(np.log(starts), (len(z), *starts.shape)).copy()
    loss, gradient, hessian = _derivatives(z, theta, penalty)
    reach = np.ones(theta.shape[:2])
    for _ in range(STEPS):
        values, vectors = np.linalg.eigh(hessian)
        damped = np.maximum(np.abs(values), 1e-10 * np.abs(values).max(-1, keepdims=True) + 1e-300)
        step = -np.einsum("...ij,...j,...kj,...k->...i", vectors, 1 / damped, vectors, gradient)
        length = np.linalg.norm(step, axis=-1)
        step *= np.minimum(1, reach / np.maximum(length, 1e-300))[..., None]
        moved = np.clip(theta + step, *LOGS)
        new = _derivatives(z, moved, penalty)
        better = new[0] <= loss
        reach = np.where(better, np.minimum(4.0, 2 * reach), np.minimum(reach, length) / 4)
        change = np.abs(moved - theta).max(-1)
        theta = np.where(better[..., None], moved, theta)
        loss = np.where(better, new[0], loss)
        gradient = np.where(better[..., None], new[1], gradient)
        hessian = np.where(better[..., None, None], new[2], hessian)
        if np.all((change < 1e-12) | (reach < 1e-12) | (_slope(gradient, z) < FLAT)):
            break
    gap, shape, scale = np.moveaxis(np.exp(theta), -1, 0)
    inside = np.all((theta > LOGS[0] + 1e-6) & (theta < LOGS[1] - 1e-6), axis=-1)
    interior = inside & (_slope(gradient, z) < 1e-5)
    return Fit(gap, shape, scale, loss, interior)


def kolmogorov_smirnov(z: Array, gap: Array, shape: Array, scale: Array) -> tuple[Array, Array]:
    """The K-S statistic of each sample against each of its laws, and its p-value, (samples, laws) both.

    The p-value takes the law as given; since its parameters were fitted to the same data, it is too large.
    """
    n = z.shape[-1]
    ratio = (np.sort(z)[:, None, :] + gap[..., None]) / scale[..., None]
    cdf = 1.0 - np.exp(-(ratio ** shape[..., None]))
    below, above = np.arange(n) / n, np.arange(1, n + 1) / n
    from scipy.stats import kstwo  # here, since it takes half a second that attacks and training have no use for

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
    # Beyond exp(60) a point is hopeless and only has to compare as worse, without overflow.
    e = np.exp(np.minimum(c[..., None] * u, 60.0))
    inverse, eu, ew = 1 / w, e * u, e / w

    def total(term: Array) -> Array:
        added: Array = term.sum(-1)
        return added

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
