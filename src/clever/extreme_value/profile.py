"""The profile likelihood of the end point of the reverse Weibull law, up to the law that has none."""

from dataclasses import dataclass

import numpy as np

from clever.extreme_value.weibull import Array

BEND = 0.05
"""The search goes over u = log(1 + h / BEND): linear up to this reciprocal gap h, logarithmic beyond."""
FARTHEST = 1e6
"""The largest reciprocal gap that is looked at: an end point a millionth of the range above the sample maximum."""
GRID: Array = np.linspace(0, np.log1p(FARTHEST / BEND), 36)
"""Where each likelihood is looked at first; from one to the next the gap changes by a factor of 1.6 at the most."""
CLOSE = 1e-3
"""Newton's last step of log(rate); what is left is its square, and in the likelihood, which is flat there, less."""
STEPS = 40
"""Newton steps at the most; 2 or 3 are usual."""


class Profile:
    """l(u), the log likelihood of each sample maximised over all but the end point, which is a gap 1/h above its top.

    ``z``: (samples, N_b), the distance below the sample's top in units of the range: 0 to 1. With
    t = log(1 + hz)/h the law is P(Z > z) = exp(-exp(rate (t - location))): a Weibull law of shape rate/h that begins
    at -1/h; at h = 0, where t = z, the Gumbel law, of maxima without an end point. Shapes below 1, whose likelihood has
    no bound, are left out (Smith, Biometrika 72, 1985).

    (samples, batches, r): the r largest values of each batch, largest first, by the likelihood of the r largest order
    statistics (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, section 3.5)
    prod_i exp(-Lambda(z_ir)) prod_k lambda(z_ik), Lambda = exp(rate (t - location)).
    """

    def __init__(self, z: Array) -> None:
        self.z = z if z.ndim == 3 else z[:, :, None]
        spread = self.z.reshape(len(z), -1).std(1)
        self.count = z[0].size  # values of a sample
        self._rate = np.pi / np.sqrt(6) / spread

    def __call__(self, u: Array) -> tuple[Array, Array]:
        """l and the reciprocal shape h/rate, (samples,) both, at each sample's own u."""
        return self.at(reciprocal_gap(u))

    def at(self, h: Array) -> tuple[Array, Array]:
        """The same at reciprocal gaps h > -1; the negative ones are Frechet laws, which end on the other side."""
        t = self._flattened(h)
        mean, smallest = t.mean((1, 2)), t[:, :, -1]  # of each batch, the value that the others exceed
        farthest = smallest.max(1, keepdims=True)
        above = farthest[:, 0] - mean
        below = np.subtract(farthest, smallest)
        least = np.log(np.maximum(h, 1e-300))
        log_rate = np.maximum(np.log(self._rate), least)
        for _ in range(STEPS):
            rate = np.exp(log_rate)
            weight = np.exp(-rate[:, None] * below)
            total = weight.sum(1)
            tilted = np.einsum("ij,ij->i", weight, below) / total
            weight *= below
            variance = np.einsum("ij,ij->i", weight, below) / total - tilted**2
            slope = 1 / rate - above + tilted
            moved = np.maximum(log_rate + np.clip(slope / (1 / rate + rate * variance), -1, 1), least)
            close = np.abs(moved - log_rate).max() < CLOSE
            log_rate = moved
            if close:
                break
        self._rate = np.exp(log_rate)  # where the search begins the next time
        spread = np.log(np.exp(-self._rate[:, None] * below).mean(1) / self.z.shape[2])
        return self.count * (log_rate - h * mean - self._rate * above - spread - 1), h / self._rate

    def probabilities(self, u: Array) -> Array:
        """P(M <= m) of each maximum under the likeliest law with that end point, (samples, N_b); one value a batch."""
        self(u)
        t = self._flattened(reciprocal_gap(u))[:, :, 0]
        intensity = np.exp(self._rate[:, None] * (t - t.max(1, keepdims=True)))
        found: Array = np.exp(-intensity / intensity.mean(1, keepdims=True))
        return found

    def _flattened(self, h: Array) -> Array:
        """t of z."""
        t = np.log1p(h[:, None, None] * self.z)
        t /= np.where(h == 0, 1, h)[:, None, None]
        t[h == 0] = self.z[h == 0]
        return t


@dataclass(frozen=True)
class Peak:
    """The largest value of a profile, (samples,), where it is, and the values over `GRID`, (grid, samples)."""

    u: Array
    value: Array
    values: Array
    reciprocal_shapes: Array


def reciprocal_gap(u: Array) -> Array:
    """h of u."""
    h: Array = BEND * np.expm1(u)
    return h


def peak(profile: Profile) -> Peak:
    """The best end point of each sample: the best of the grid, improved by two parabolas through three points."""
    looked = [profile(np.full(len(profile.z), u)) for u in GRID]
    values, shapes = (np.stack(part) for part in zip(*looked, strict=True))
    best = values.argmax(0)
    u, value, reach = GRID[best], values.max(0), GRID[1]
    for _ in range(2):
        left, right = (np.clip(u + side * reach, 0, GRID[-1]) for side in (-1, 1))
        below, above = profile(left)[0], profile(right)[0]
        bend = below - 2 * value + above
        inside = (left < u) & (u < right) & (bend < 0)
        move = np.where(inside, 0.5 * reach * (below - above) / np.where(inside, bend, 1), 0)
        tried = np.clip(u + np.clip(move, -reach, reach), 0, GRID[-1])
        there = profile(tried)[0]
        u, value = np.where(there > value, tried, u), np.maximum(there, value)
        reach /= 8
    return Peak(u, value, values, shapes)


def likeliest(z: Array, gap: Array) -> tuple[Array, Array]:
    """Shape, from 1 up, and scale of the law of Z, likeliest of those that begin ``gap`` before 0; z as `Profile`'s.

    Of several values a batch, it is still the law of each batch's maximum.
    """
    _, reciprocal_shape = Profile(z)(np.log1p(1 / (gap * BEND)))
    smallest, ranks = (z[:, :, -1], z.shape[2]) if z.ndim == 3 else (z, 1)
    w = smallest + gap[:, None]
    longest = w.max(1)
    power = (w / longest[:, None]) ** (1 / reciprocal_shape[:, None])
    return 1 / reciprocal_shape, longest * (power.mean(1) / ranks) ** reciprocal_shape
