"""What the evidence says of a statement, and how many images would decide where it says nothing yet."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.stats import beta

from pipeline.shared.stats.statistics import LEVEL, binomial_interval, mean_interval, min_units

EQUIVALENCE_LEVEL = 0.90
"""Of the interval that an equivalence is judged by: two one-sided tests of 5 % each."""
EQUIVALENCE_RANGE = (0.8, 1.25)
"""The ratios that count as about 1."""
MAX_IMAGES = 10**6
"""Where more images than these would be needed, it is no use to say how many."""


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
class Mean:
    """A mean over images, and over networks where there are several, its interval, and the verdict by that.

    ``units``: how many of each there are. ``needed``: about how many would decide, were mean and spread to stay: for an
    interval of half the width four times as many of each; infinite where the mean lies at a bound.
    """

    value: float
    low: float
    high: float
    units: dict[str, int]
    verdict: Verdict
    needed: dict[str, float]

    @classmethod
    def equivalent(
        cls, ratios: "pd.Series[float]", images: "pd.Series[str]", networks: "pd.Series[str]", seed: int
    ) -> "Mean":
        """Whether a geometric mean ratio is about 1: its 90 % interval within ``NEAR``, outside, or neither.

        ``ratios``: logarithms, NaN where a ratio is not defined; ``images``, ``networks``: of which each is.
        """
        value, low, high, units = _mean(ratios, images, networks, seed, EQUIVALENCE_LEVEL)
        bottom, top = np.log(EQUIVALENCE_RANGE)
        if bottom <= low and high <= top:
            verdict = Verdict.HOLDS
        elif high < bottom or top < low:
            verdict = Verdict.FAILS
        else:
            verdict = Verdict.UNDECIDED
        room, reach = min(abs(value - bottom), abs(value - top)), max(high - value, value - low)
        needed = _needed(units, room, reach, EQUIVALENCE_LEVEL)
        return cls(math.exp(value), math.exp(low), math.exp(high), units, _tested(verdict, units), needed)

    @classmethod
    def positive(cls, values: "pd.Series[float]", images: "pd.Series[str]", seed: int) -> "Mean":
        """Whether a mean over images is above 0: its 95 % interval above, below, or neither."""
        value, low, high, units = _mean(values, images, None, seed, LEVEL)
        verdict = _tested(Verdict.above(0, low, high), units)
        reach = value - low if value > 0 else high - value
        return cls(value, low, high, units, verdict, _needed(units, abs(value), reach, LEVEL))

    @property
    def units_text(self) -> str:
        """Of what it is a mean, in words."""
        return _counted(self.units)

    def interval_text(self, digits: str) -> str:
        """The interval, its numbers in the format ``digits``, or that there is none."""
        if math.isnan(self.low):
            return f"(too few {' or '.join(self.units)} for an interval)"
        return f"[{self.low:{digits}}, {self.high:{digits}}]"

    @property
    def undecided_note(self) -> str:
        """That it is undecided and what would decide, in words; empty where it is decided."""
        if self.verdict is not Verdict.UNDECIDED:
            return ""
        return _undecided(self.needed, "at least" if math.isnan(self.low) else "about")


@dataclass(frozen=True)
class Majority:
    """Whether most images have a property, by the exact binomial interval of the share of those that were looked at."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share among all images."""
        return binomial_interval(self.count, self.total)

    @property
    def majority(self) -> Verdict:
        """Of the statement that most have it; not tested of no image."""
        return Verdict.above(0.5, *self.interval) if self.total else Verdict.UNTESTED

    @property
    def minority(self) -> Verdict:
        """Of the statement that most have it not."""
        low, high = self.interval
        return Verdict.above(0.5, 1 - high, 1 - low) if self.total else Verdict.UNTESTED

    @property
    def needed(self) -> float:
        """About how many images would decide, were the share to stay; infinite where it is near one half.

        Of no image: as many as decide where all are alike.
        """
        if not self.total:
            return min_units(LEVEL)
        share = max(self.count, self.total - self.count) / self.total

        def decide(images: int) -> bool:  # as `share_interval`, of counts that need not be whole
            return bool(beta.ppf((1 - LEVEL) / 2, share * images, images - share * images + 1) > 0.5)

        images = bisect_left(range(MAX_IMAGES), True, lo=self.total, key=decide)
        return images if images < MAX_IMAGES else math.inf

    @property
    def undecided_note(self) -> str:
        """As of `Mean`."""
        return _undecided({"images": self.needed}, "about") if self.majority is Verdict.UNDECIDED else ""

    def __str__(self) -> str:
        if not self.total:
            return "no image"
        low, high = self.interval
        return f"{self.count} of {self.total} [{low:.0%}, {high:.0%}]{self.undecided_note}"


def _mean(
    values: "pd.Series[float]", images: "pd.Series[str]", networks: "pd.Series[str] | None", seed: int, level: float
) -> tuple[float, float, float, dict[str, int]]:
    """Mean, interval and units of the values that are there; a single network is no sample of networks."""
    known = values.notna()
    drawn = {"images": images[known]}
    if networks is not None and networks[known].nunique() > 1:
        drawn = {"networks": networks[known]} | drawn
    low, high = mean_interval(values[known], seed, level=level, **drawn)
    return float(values.mean()), low, high, {name: unit.nunique() for name, unit in drawn.items()}


def _tested(verdict: Verdict, units: Mapping[str, int]) -> Verdict:
    return verdict if units["images"] else Verdict.UNTESTED


def _needed(units: Mapping[str, int], room: float, reach: float, level: float) -> dict[str, float]:
    """How many units make an interval that reaches so far reach no farther than there is room."""
    if min(units.values()) < min_units(level):
        return {unit: max(count, min_units(level)) for unit, count in units.items()}
    times = (reach / room) ** 2 if room > 0 and math.isfinite(reach) else math.inf
    possible = times * max(units.values()) < MAX_IMAGES
    return {unit: math.ceil(times * count) if possible else math.inf for unit, count in units.items()}


def _undecided(needed: Mapping[str, float], how: str) -> str:
    known = all(map(math.isfinite, needed.values()))
    return f", undecided: {f'{how} {_counted(needed)}' if known else 'more images than can be had'} would decide"


def _counted(units: Mapping[str, float]) -> str:
    return " and ".join(f"{count:.0f} {unit}" for unit, count in units.items())
