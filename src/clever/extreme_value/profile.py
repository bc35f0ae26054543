"""The profile likelihood of the end point of the reverse Weibull law, including the Gumbel limit without one."""

from dataclasses import dataclass

import numpy as np

from clever.extreme_value.weibull import Array

BEND = 0.05
"""The search variable is u = log(1 + h / BEND): linear in the reciprocal gap h below this value, logarithmic above."""
MAX_RECIPROCAL_GAP = 1e6
"""The largest reciprocal gap searched: the end point is a millionth of the range above the sample maximum."""
GRID: Array = np.linspace(0, np.log1p(MAX_RECIPROCAL_GAP / BEND), 36)
"""Grid of u for the first search; from one point to the next the gap changes by a factor of at most 1.6."""
NEWTON_TOLERANCE = 1e-3
"""Newton's method stops below this step of log(rate); the remaining error is about its square."""
MAX_NEWTON_STEPS = 40
"""The limit of Newton steps; 2 or 3 are typical."""


class Profile:
    """The log likelihood l(u) of each sample, maximised over all parameters but the end point.

    The end point is 1/h above the sample maximum, h = `reciprocal_gap` (u). ``z``: (samples, N_b), the distances below
    the sample maximum in units of the range, from 0 to 1. With t = log(1 + hz)/h the law is
    P(Z > z) = exp(-exp(rate (t - location))): a Weibull law of shape rate/h that begins at -1/h, and for h = 0, where
    t = z, the Gumbel law, which has no end point. Shapes below 1 are excluded, because their likelihood is unbounded
    (Smith, Biometrika 72, 1985).

    For ``z`` (samples, N_b, r), the r largest values of each batch in descending order, l is the likelihood of the r
    largest order statistics (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, section 3.5):
    prod_i exp(-Lambda(z_ir)) prod_k lambda(z_ik), Lambda = exp(rate (t - location)).
    """

    def __init__(self, z: Array) -> None:
        self.z = z if z.ndim == 3 else z[:, :, None]
        spread = self.z.reshape(len(z), -1).std(1)
        self.count = z[0].size  # values per sample
        self._rate = np.pi / np.sqrt(6) / spread

    def __call__(self, u: Array) -> tuple[Array, Array]:
        """l and the reciprocal shape h/rate, (samples,) both, at one u per sample."""
        return self.at(reciprocal_gap(u))

    def at(self, h: Array) -> tuple[Array, Array]:
        """The same at reciprocal gaps h > -1; negative h give Frechet laws, bounded on the other side."""
        t = self._transformed(h)
        mean, smallest = t.mean((1, 2)), t[:, :, -1]  # the smallest of the r values of each batch
        farthest = smallest.max(1, keepdims=True)
        above = farthest[:, 0] - mean
        below = np.subtract(farthest, smallest)
        least = np.log(np.maximum(h, 1e-300))
        log_rate = np.maximum(np.log(self._rate), least)
        for _ in range(MAX_NEWTON_STEPS):
            rate = np.exp(log_rate)
            weight = np.exp(-rate[:, None] * below)
            total = weight.sum(1)
            tilted = np.einsum("ij,ij->i", weight, below) / total
            weight *= below
            variance = np.einsum("ij,ij->i", weight, below) / total - tilted**2
            slope = 1 / rate - above + tilted
            moved = np.maximum(log_rate + np.clip(slope / (1 / rate + rate * variance), -1, 1), least)
            close = np.abs(moved - log_rate).max() < NEWTON_TOLERANCE
            log_rate = moved
            if close:
                break
        self._rate = np.exp(log_rate)  # the start of the next search
        spread = np.log(np.exp(-self._rate[:, None] * below).mean(1) / self.z.shape[2])
        return self.count * (log_rate - h * mean - self._rate * above - spread - 1), h / self._rate

    def probabilities(self, u: Array) -> Array:
        """P(M <= m) of each maximum under the maximum-likelihood law with that end point, (samples, N_b)."""
        self(u)
        t = self._transformed(reciprocal_gap(u))[:, :, 0]
        intensity = np.exp(self._rate[:, None] * (t - t.max(1, keepdims=True)))
        cdf: Array = np.exp(-intensity / intensity.mean(1, keepdims=True))
        return cdf

    def _transformed(self, h: Array) -> Array:
        """t(z) = log(1 + hz)/h, and z for h = 0."""
        t = np.log1p(h[:, None, None] * self.z)
        t /= np.where(h == 0, 1, h)[:, None, None]
        t[h == 0] = self.z[h == 0]
        return t


@dataclass(frozen=True)
class Peak:
    """The maximum of a profile and its position u, (samples,), and the values on `GRID`, (grid, samples)."""

    u: Array
    value: Array
    values: Array
    reciprocal_shapes: Array


def reciprocal_gap(u: Array) -> Array:
    """h(u), the inverse of u = log(1 + h / BEND)."""
    h: Array = BEND * np.expm1(u)
    return h


def peak(profile: Profile) -> Peak:
    """The maximum of each sample's profile: the best grid point, refined by two parabolas through three points."""
    grid_values = [profile(np.full(len(profile.z), u)) for u in GRID]
    values, shapes = (np.stack(part) for part in zip(*grid_values, strict=True))
    best = values.argmax(0)
    u, value, reach = GRID[best], values.max(0), GRID[1]
    for _ in range(2):
        left, right = (np.clip(u + side * reach, 0, GRID[-1]) for side in (-1, 1))
        below, above = profile(left)[0], profile(right)[0]
        bend = below - 2 * value + above
        inside = (left < u) & (u < right) & (bend < 0)
        move = np.where(inside, 0.5 * reach * (below - above) / np.where(inside, bend, 1), 0)
        candidate = np.clip(u + np.clip(move, -reach, reach), 0, GRID[-1])
        new_value = profile(candidate)[0]
        u, value = np.where(new_value > value, candidate, u), np.maximum(new_value, value)
        reach /= 8
    return Peak(u, value, values, shapes)


def fit_shape_scale(z: Array, gap: Array) -> tuple[Array, Array]:
    """Maximum-likelihood shape, at least 1, and scale of the Weibull law of Z that begins at -gap; z as in `Profile`.

    For several values per batch, the law is still that of the batch maximum.
    """
    _, reciprocal_shape = Profile(z)(np.log1p(1 / (gap * BEND)))
    smallest, ranks = (z[:, :, -1], z.shape[2]) if z.ndim == 3 else (z, 1)
    w = smallest + gap[:, None]
    longest = w.max(1)
    power = (w / longest[:, None]) ** (1 / reciprocal_shape[:, None])
    return 1 / reciprocal_shape, longest * (power.mean(1) / ranks) ** reciprocal_shape
