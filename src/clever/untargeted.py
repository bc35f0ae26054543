"""The smallest of several noisy scores: how much too small it is, and its interval, by a joint parametric bootstrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value import EndPoint, end_points
from clever.weibull import Array

REPLICATES = 100
"""Samples of the fitted laws; the median's standard error is an eighth of the spread."""
AT_ONCE = 2**24
"""Numbers that are drawn together."""
JITTER = 1e-9
"""On the diagonal of a matrix of correlations, which has no full rank where classes are more than batches."""


@dataclass(frozen=True)
class Candidate:
    """A class that may have the smallest score.

    ``largest``: the values of each batch that its end point was estimated from, largest first, (N_b, values).
    ``score_of``: the score of any end point.
    """

    largest: NDArray[np.float32]
    end_point: EndPoint
    score_of: Callable[[float], float]


@dataclass(frozen=True)
class Smallest:
    """``corrected``: the smallest score freed from its bias. ``low``, ``high``: nominal 95 % interval of the truth.

    What was measured (benchmarks/untargeted.py): ``corrected`` is nearer to the truth than the plain minimum where the
    true scores are equal, and a little further from it where they are spread.
    """

    corrected: float
    low: float
    high: float


def smallest(candidates: Sequence[Candidate], generator: np.random.Generator) -> Smallest:
    """Of the true smallest score, given the smallest estimate, which its choice biases low.

    The values of each batch are drawn anew from the fitted laws, all classes together, and fitted anew by the estimator
    of the end points: of a law P(M <= m) = exp(-((end - m)/scale)^shape) the r largest of a batch are
    end - scale * (E_1 + ... + E_r)^(1/shape), largest first, E independent exponential variables. Those of different
    classes are tied by a normal copula, for each of the E the rank correlation of the batches, since classes share
    their points. Where a class has no law, its own maxima are drawn. The errors of log(score) are put on the estimates
    shrunk to their common mean (empirical Bayes), whose spread would otherwise count the noise twice; the smallest of
    these less the smallest without errors is the bias. The interval is the hull of that by its quantiles, which knows
    of the choice but is too short where true scores are spread, and of the chosen class's own by profile likelihood.
    Classes with unequally many batches are taken with as many as the fewest have. A smallest score of 0 or infinity has
    no bias to speak of and is returned for all three.
    """
    plain = np.array([one.score_of(one.end_point.value) for one in candidates])
    finite = np.isfinite(plain)
    if not (0 < plain.min() < np.inf):
        return Smallest(*[float(plain.min())] * 3)
    chosen = [one for one, kept in zip(candidates, finite, strict=True) if kept]
    ends = drawn_end_points(chosen, generator)
    drawn = [[one.score_of(end) for end in column] for one, column in zip(chosen, ends.T.tolist(), strict=True)]
    found = without_bias(plain[finite], np.array(drawn).T)
    one = candidates[int(plain.argmin())]
    low, high = (one.score_of(end) for end in (one.end_point.high, one.end_point.low))  # NaN without an interval
    return replace(found, low=float(np.fmin(low, found.low)), high=float(np.fmax(high, found.high)))


def without_bias(plain: Array, drawn: Array) -> Smallest:
    """Of scores (class,), positive and finite, and what they become in draws of their laws, (replicate, class).

    The interval is that of the bias alone.
    """
    truth = np.log(plain)
    errors = np.log(drawn) - truth
    noise = errors.var(0)
    signal = max(0.0, float(truth.var() - noise.mean()))
    share = signal / np.maximum(signal + noise, 1e-300)
    shrunk = truth.mean() + np.where(noise > 0, share, 1.0) * (truth - truth.mean())
    bias = (shrunk + errors).min(1) - shrunk.min()
    early, late = np.quantile(bias, [0.025, 0.975])
    return Smallest(*(float(plain.min() * np.exp(-by)) for by in (bias.mean(), late, early)))


def drawn_end_points(candidates: Sequence[Candidate], generator: np.random.Generator) -> Array:
    """End points of samples drawn from the candidates' laws together, (replicate, candidate)."""
    n = min(len(one.largest) for one in candidates)
    roots = _roots(np.stack([_increments(one, n) for one in candidates], axis=2))
    at_once = max(1, AT_ONCE // (len(roots) * n * len(candidates)))
    parts = [min(at_once, REPLICATES - done) for done in range(0, REPLICATES, at_once)]
    return np.concatenate([_drawn(candidates, n, roots, part, generator) for part in parts])


def _increments(candidate: Candidate, n: int) -> Array:
    """Of n batches what would be the E if the values followed the law; without one, the steps between them, (n, r)."""
    point, largest = candidate.end_point, candidate.largest[:n].astype(np.float64)
    below = point.value - largest
    if np.isfinite(point.shape):
        below = (below / point.scale) ** point.shape
    steps: Array = np.diff(below, axis=1, prepend=0)
    return steps


def _roots(increments: Array) -> Array:
    """What gives independent normal variables the correlation of the ranks, (r, class, class), of (n, r, class)."""
    from scipy.special import ndtri  # here, since it takes a while that most scores have no use for

    n, _, classes = increments.shape
    normal = ndtri((increments.argsort(0, kind="stable").argsort(0) + 0.5) / n)
    normal /= np.sqrt((normal**2).mean(0))
    correlation = np.einsum("nri,nrj->rij", normal, normal) / n
    return np.linalg.cholesky(correlation + JITTER * np.eye(classes))


def _drawn(
    candidates: Sequence[Candidate], n: int, roots: Array, replicates: int, generator: np.random.Generator
) -> Array:
    from scipy.special import ndtr

    normal = generator.normal(size=(len(roots), replicates * n, len(candidates)))
    steps = -np.log(ndtr(-normal @ roots.transpose(0, 2, 1)))
    arrivals = steps.cumsum(0).reshape(len(roots), replicates, n, -1).transpose(3, 1, 2, 0)
    ends = np.empty((len(candidates), replicates))
    fitted, samples = [], []
    for row, (one, of_class) in enumerate(zip(candidates, arrivals, strict=True)):
        point = one.end_point
        if np.isfinite(point.shape):
            fitted.append(row)
            samples.append(np.maximum(point.value - point.scale * of_class ** (1 / point.shape), 0))
        else:
            ordered = np.sort(one.largest[:n, 0])
            ends[row] = ordered[np.minimum((np.exp(-of_class[:, :, 0]) * n).astype(int), n - 1)].max(1)
    if fitted:
        again = end_points(np.concatenate(samples), candidates[fitted[0]].end_point.estimator)
        ends[fitted] = np.reshape([point.value for point in again], (len(fitted), replicates))
    return ends.T
