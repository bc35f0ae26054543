"""Verdicts on statements, and the number of images that would decide an undecided one."""

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
"""Level of the interval in equivalence tests: two one-sided tests at 5 % each."""
EQUIVALENCE_RANGE = (0.8, 1.25)
"""Ratios in this range count as about 1."""
MAX_IMAGES = 10**6
"""If a decision needs more images than this, the number is not reported."""


class Verdict(StrEnum):
    """The verdict on a statement."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    UNTESTED = "not tested"

    @classmethod
    def above(cls, bound: float, low: float, high: float) -> "Verdict":
        """The verdict on "the quantity exceeds the bound", from the interval of the quantity."""
        return cls.HOLDS if low > bound else cls.FAILS if high < bound else cls.UNDECIDED

    @classmethod
    def of_all(cls, verdicts: "list[Verdict]") -> "Verdict":
        """The verdict on "all statements hold": fails if any fails, else undecided if any is undecided."""
        if not verdicts:
            return cls.UNTESTED
        return next((bad for bad in (cls.FAILS, cls.UNDECIDED, cls.UNTESTED) if bad in verdicts), cls.HOLDS)


@dataclass(frozen=True)
class Mean:
    """A mean over images (and over networks, if there are several), its interval, and the resulting verdict.

    ``units``: the number of images and networks. ``needed``: the approximate numbers that would decide if mean and
    spread stayed the same (half the width needs four times as many of each); infinite if the mean lies at a bound.
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
        """Test whether a geometric mean ratio is about 1: its 90 % interval within or outside `EQUIVALENCE_RANGE`.

        ``ratios``: logarithms, NaN where undefined. ``images``, ``networks``: the image and network of each ratio.
        """
        value, low, high, units = _mean(ratios, images, networks, seed, EQUIVALENCE_LEVEL)
        bottom, top = np.log(EQUIVALENCE_RANGE)
        if bottom <= low and high <= top:
            verdict = Verdict.HOLDS
        elif high < bottom or top < low:
            verdict = Verdict.FAILS
        else:
            verdict = Verdict.UNDECIDED
        margin, half_width = min(abs(value - bottom), abs(value - top)), max(high - value, value - low)
        needed = _needed(units, margin, half_width, EQUIVALENCE_LEVEL)
        return cls(math.exp(value), math.exp(low), math.exp(high), units, _tested(verdict, units), needed)

    @classmethod
    def positive(cls, values: "pd.Series[float]", images: "pd.Series[str]", seed: int) -> "Mean":
        """Test whether a mean over images is positive, by its 95 % interval."""
        value, low, high, units = _mean(values, images, None, seed, LEVEL)
        verdict = _tested(Verdict.above(0, low, high), units)
        half_width = value - low if value > 0 else high - value
        return cls(value, low, high, units, verdict, _needed(units, abs(value), half_width, LEVEL))

    @property
    def units_text(self) -> str:
        """The number of units, in words."""
        return _count_text(self.units)

    def interval_text(self, digits: str) -> str:
        """The interval with numbers in the format ``digits``, or a note that there is none."""
        if math.isnan(self.low):
            return f"(too few {' or '.join(self.units)} for an interval)"
        return f"[{self.low:{digits}}, {self.high:{digits}}]"

    @property
    def undecided_note(self) -> str:
        """For an undecided verdict, what would decide it, in words; otherwise empty."""
        if self.verdict is not Verdict.UNDECIDED:
            return ""
        return _undecided(self.needed, "at least" if math.isnan(self.low) else "about")


@dataclass(frozen=True)
class Majority:
    """Whether most images have a property, by the exact binomial interval of the observed proportion."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the proportion."""
        return binomial_interval(self.count, self.total)

    @property
    def majority(self) -> Verdict:
        """The verdict on "most images have the property"; untested without images."""
        return Verdict.above(0.5, *self.interval) if self.total else Verdict.UNTESTED

    @property
    def minority(self) -> Verdict:
        """The verdict on "most images lack the property"; untested without images."""
        low, high = self.interval
        return Verdict.above(0.5, 1 - high, 1 - low) if self.total else Verdict.UNTESTED

    @property
    def needed(self) -> float:
        """Approximate number of images that would decide if the proportion stayed the same; infinite near one half.

        Without images, the number that decides if all images agree.
        """
        if not self.total:
            return min_units(LEVEL)
        share = max(self.count, self.total - self.count) / self.total

        def decide(images: int) -> bool:  # as `binomial_interval`, for fractional counts
            return bool(beta.ppf((1 - LEVEL) / 2, share * images, images - share * images + 1) > 0.5)

        images = bisect_left(range(MAX_IMAGES), True, lo=self.total, key=decide)
        return images if images < MAX_IMAGES else math.inf

    @property
    def undecided_note(self) -> str:
        """As `Mean.undecided_note`."""
        return _undecided({"images": self.needed}, "about") if self.majority is Verdict.UNDECIDED else ""

    def __str__(self) -> str:
        if not self.total:
            return "no image"
        low, high = self.interval
        return f"{self.count} of {self.total} [{low:.0%}, {high:.0%}]{self.undecided_note}"


def _mean(
    values: "pd.Series[float]", images: "pd.Series[str]", networks: "pd.Series[str] | None", seed: int, level: float
) -> tuple[float, float, float, dict[str, int]]:
    """Mean, interval and units of the values that are not NaN; a single network is not resampled."""
    valid = values.notna()
    units = {"images": images[valid]}
    if networks is not None and networks[valid].nunique() > 1:
        units = {"networks": networks[valid]} | units
    low, high = mean_interval(values[valid], seed, level=level, **units)
    return float(values.mean()), low, high, {name: unit.nunique() for name, unit in units.items()}


def _tested(verdict: Verdict, units: Mapping[str, int]) -> Verdict:
    return verdict if units["images"] else Verdict.UNTESTED


def _needed(units: Mapping[str, int], margin: float, half_width: float, level: float) -> dict[str, float]:
    """The numbers of units that would shrink the interval from ``half_width`` to ``margin``."""
    if min(units.values()) < min_units(level):
        return {unit: max(count, min_units(level)) for unit, count in units.items()}
    factor = (half_width / margin) ** 2 if margin > 0 and math.isfinite(half_width) else math.inf
    feasible = factor * max(units.values()) < MAX_IMAGES
    return {unit: math.ceil(factor * count) if feasible else math.inf for unit, count in units.items()}


def _undecided(needed: Mapping[str, float], how: str) -> str:
    feasible = all(map(math.isfinite, needed.values()))
    number = f"{how} {_count_text(needed)}" if feasible else "more images than are available"
    return f", undecided: {number} would decide"


def _count_text(units: Mapping[str, float]) -> str:
    return " and ".join(f"{count:.0f} {unit}" for unit, count in units.items())
