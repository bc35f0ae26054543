"""The smallest of several noisy scores: how much too small it is, and its interval, by a joint parametric bootstrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value import EndPoint, Estimator, end_points
from clever.weibull import Array

REPLICATES = 100
"""Samples of the fitted laws; the median's standard error is an eighth of the spread."""


@dataclass(frozen=True)
class Candidate:
    """A class that may have the smallest score: its batch maxima, (N_b,), end point, and the score of any end point."""

    maxima: NDArray[np.float32]
    end_point: EndPoint
    score_of: Callable[[float], float]


@dataclass(frozen=True)
class Smallest:
    """``corrected``: the smallest score freed from its bias. ``low``, ``high``: nominal 95 % interval of the truth."""

    corrected: float
    low: float
    high: float


def smallest(candidates: Sequence[Candidate], generator: np.random.Generator) -> Smallest:
    """Of the true smallest score, given the smallest estimate, which its choice biases low.

    The maxima are drawn anew from the fitted laws, all classes together: a normal copula with the rank correlation of
    the batches, since classes share their points. Each sample is fitted anew by `Estimator.PROFILE`; where a class has
    no law, its own maxima are drawn. The errors of log(score) are put on the estimates shrunk to their common mean
    (empirical Bayes), whose spread would otherwise count the noise twice; the smallest of these less the smallest
    without errors is the bias. Classes with unequally many maxima are taken with as many as the fewest have. A
    smallest score of 0 or infinity has no bias to speak of and is returned for all three.
    """
    plain = np.array([one.score_of(one.end_point.value) for one in candidates])
    least = float(plain.min())
    finite = np.isfinite(plain)
    if not (0 < least < np.inf):
        return Smallest(least, least, least)
    chosen = [one for one, kept in zip(candidates, finite, strict=True) if kept]
    truth = np.log(plain[finite])
    errors = np.log(_drawn_scores(chosen, generator)) - truth
    noise = errors.var(0)
    signal = max(0.0, float(truth.var() - noise.mean()))
    share = signal / np.maximum(signal + noise, 1e-300)
    shrunk = truth.mean() + np.where(noise > 0, share, 1.0) * (truth - truth.mean())
    bias = (shrunk + errors).min(1) - shrunk.min()
    early, late = np.quantile(bias, [0.025, 0.975])
    corrected, low, high = (float(least * np.exp(-by)) for by in (bias.mean(), late, early))
    return Smallest(corrected, low, high)


def _drawn_scores(candidates: Sequence[Candidate], generator: np.random.Generator) -> Array:
    """Scores of samples drawn from the candidates' laws together, (replicate, candidate)."""
    from scipy.special import ndtr, ndtri  # here, since it takes a while that most scores have no use for

    n = min(len(one.maxima) for one in candidates)
    maxima = np.stack([one.maxima[:n].astype(np.float64) for one in candidates], axis=1)
    normal = ndtri((maxima.argsort(0, kind="stable").argsort(0) + 0.5) / n)
    normal /= np.sqrt((normal**2).mean(0))
    drawn = ndtr(generator.normal(size=(REPLICATES, n, n)) @ normal / np.sqrt(n))
    scores = np.empty((REPLICATES, len(candidates)))
    for column, one in enumerate(candidates):
        point, at = one.end_point, drawn[:, :, column]
        if np.isfinite(point.shape):
            sample = np.maximum(point.value - point.scale * (-np.log(at)) ** (1 / point.shape), 0)
            ends = [again.value for again in end_points(sample, Estimator.PROFILE)]
        else:
            ordered = np.sort(maxima[:, column])
            ends = ordered[np.minimum((at * n).astype(int), n - 1)].max(1).tolist()
        scores[:, column] = [one.score_of(end) for end in ends]
    return scores
