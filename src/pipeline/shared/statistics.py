"""Intervals whose unit is the image, and ratios on a logarithmic scale."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm, t

RESAMPLES = 2000
LEVEL = 0.95
EQUIVALENCE_LEVEL = 0.90
"""Of the interval that an equivalence is judged by: two one-sided tests of 5 % each."""
NEAR = (0.8, 1.25)
"""The ratios that count as about 1."""
MOST_IMAGES = 10**6
"""Where more images than these would be needed, it is no use to say how many."""


def interval(
    values: ArrayLike, seed: int, *, images: ArrayLike | None = None, level: float = LEVEL
) -> tuple[float, float]:
    """The bootstrap interval of the mean of ``values``, infinite ones too; NaN for too few images.

    ``images``: of which image each value is; all values of an image are drawn together, since they are as alike as the
    images differ. Without it, each value is of its own. Percentiles of the resampled means, widened by what Student's
    law of n - 1 degrees of freedom is wider than the normal one and the sample's variance too small by the factor
    (n - 1)/n (the expanded percentile interval; Hesterberg, The American Statistician 69, 2015, section 3.3). It lies
    within the range of the images, which all are on one side of a symmetric law's mean with probability 2^(1 - n): six
    images are needed for 95 %, five for 90 %.
    """
    values = np.asarray(values, np.float64)
    named = np.arange(len(values)) if images is None else np.asarray(images)
    units, unit = np.unique(named, return_inverse=True)
    count = len(units)
    if 2.0 ** (1 - count) > 1 - level:
        return np.nan, np.nan
    sums, sizes = np.zeros(count), np.bincount(unit, minlength=count)
    np.add.at(sums, unit, values)
    generator, at_once = np.random.default_rng(seed), max(1, 10**6 // count)
    parts = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    drawn = (generator.integers(0, count, (part, count)) for part in parts)
    means = np.sort(np.concatenate([sums[rows].sum(1) / sizes[rows].sum(1) for rows in drawn]))
    reach = math.sqrt(count / (count - 1)) * t.ppf((1 + level) / 2, count - 1)
    tail = int(RESAMPLES * norm.sf(reach))
    return float(means[tail]), float(means[-1 - tail])


def log_ratio(scores: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """The logarithm of each ratio that is defined, else NaN: both positive, the reference finite."""
    scores, reference = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    known = (reference > 0) & (scores > 0) & np.isfinite(reference)
    ratios = np.full(len(scores), np.nan)
    ratios[known] = np.log(scores[known]) - np.log(reference[known])
    return ratios


def share_interval(count: int, total: int) -> tuple[float, float]:
    """The exact binomial interval of a share of images (Clopper and Pearson)."""
    inside = binomtest(count, total).proportion_ci(LEVEL)
    return float(inside.low), float(inside.high)


class Verdict(StrEnum):
    """What the evidence says of a statement."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    UNTESTED = "not tested"

    @classmethod
    def above(cls, bound: float, low: float, high: float) -> "Verdict":
        """Of the statement that what has this interval is above the bound."""
        return cls.HOLDS if low > bound else cls.FAILS if high < bound else cls.UNDECIDED

    @classmethod
    def of_all(cls, verdicts: "list[Verdict]") -> "Verdict":
        """Of the statement that all of these hold: one that fails refutes it, one undecided leaves it so."""
        if not verdicts:
            return cls.UNTESTED
        return next((bad for bad in (cls.FAILS, cls.UNDECIDED, cls.UNTESTED) if bad in verdicts), cls.HOLDS)


@dataclass(frozen=True)
class Equivalence:
    """Whether a geometric mean ratio is about 1: its 90 % interval within ``NEAR``, outside, or neither.

    ``needed``: about how many images would decide, were mean and spread to stay; infinite where the mean lies at a
    bound.
    """

    mean: float
    low: float
    high: float
    images: int
    verdict: Verdict
    needed: float

    @classmethod
    def of(cls, ratios: "pd.Series[float]", images: "pd.Series[str]", seed: int) -> "Equivalence":
        """``ratios``: logarithms, NaN where a ratio is not defined; ``images``: of which image each is."""
        known = ratios.notna()
        ratios, images = ratios[known], images[known]
        count, mean = images.nunique(), float(ratios.mean()) if len(ratios) else np.nan
        low, high = interval(ratios, seed, images=images, level=EQUIVALENCE_LEVEL)
        bottom, top = np.log(NEAR)
        needed = float(count)
        if bottom <= low and high <= top:
            verdict = Verdict.HOLDS
        elif high < bottom or top < low:
            verdict = Verdict.FAILS
        else:
            verdict = Verdict.UNDECIDED if count else Verdict.UNTESTED
            room, reach = min(abs(mean - bottom), abs(mean - top)), max(high - mean, mean - low)
            needed = math.ceil(count * (reach / room) ** 2) if room * math.sqrt(MOST_IMAGES) > reach else math.inf
        return cls(math.exp(mean), math.exp(low), math.exp(high), count, verdict, needed)

    def __str__(self) -> str:
        text = f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] over {self.images} images"
        if self.verdict is not Verdict.UNDECIDED:
            return text
        many = f"about {self.needed:.0f} images" if math.isfinite(self.needed) else "more images than can be had"
        return f"{text}, undecided: {many} would decide"
