"""How biased the smallest of many noisy scores is, and how often the interval of its class holds the true smallest.

The score of a class is its margin over an end point, whose maxima are independent of those of other classes and follow
a reverse Weibull law of shape 4, a fifth of the end point wide. True scores are equal, or spread: their logarithms are
normal, a fifth or a half wide. The score is the smallest estimate, its interval that of its class. A sample of 200
classes also is four of 50 and twenty of 10.
Example: python benchmarks/untargeted.py --out benchmarks/results/untargeted.csv
"""

from collections.abc import Iterator

import numpy as np
from report import parser, report
from tqdm import tqdm

from clever.extreme_value.estimators import Estimator, end_points
from clever.extreme_value.weibull import Array

CLASSES = (10, 50, 200)
SIZES = (16, 32, 100)
SPREADS = (0.0, 0.2, 0.5)
END, SHAPE, SCALE = 1.0, 4.0, 0.2


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=100, help="of the largest number of classes")
    described.add_argument("--classes", type=int, nargs="+", default=CLASSES)
    described.add_argument("--batches", type=int, nargs="+", default=SIZES)
    options = described.parse_args()
    bar = tqdm(total=len(options.batches) * options.samples, unit="sample")
    rows = []
    for n_batches in options.batches:
        found: dict[tuple[int, float], list[Array]] = {}
        for seed in range(options.samples):
            for key, smallest in _sample(np.random.default_rng([seed, n_batches]), options.classes, n_batches):
                found.setdefault(key, []).append(smallest)
            bar.update()
        rows += [
            {"classes": classes, "spread": spread, "N_b": n_batches} | _row(np.array(smallest))
            for (classes, spread), smallest in found.items()
        ]
    report(sorted(rows, key=lambda row: (row["classes"], row["spread"])), options.out)


def _sample(rng: np.random.Generator, numbers: list[int], n_batches: int) -> Iterator[tuple[tuple[int, float], Array]]:
    """For classes and spread: the smallest score, low and high, in units of the true smallest score."""
    most = max(numbers)
    points = end_points(END - SCALE * rng.exponential(size=(most, n_batches)) ** (1 / SHAPE), Estimator.PROFILE)
    ends = np.array([(point.value, point.high, point.low) for point in points])
    for spread in SPREADS:
        margins = END * np.exp(spread * rng.normal(size=most))
        scores = margins[:, None] / ends
        for classes in numbers:
            for first in range(0, most - classes + 1, classes):
                these = slice(first, first + classes)
                chosen = scores[these][scores[these, 0].argmin()]
                yield (classes, spread), chosen / (margins[these].min() / END)


def _row(smallest: Array) -> dict[str, object]:
    score, low, high = smallest.T
    return {
        "samples": len(smallest),
        "score over the truth": round(float(np.exp(np.log(score).mean())), 3),
        "log error, rms": round(float(np.sqrt((np.log(score) ** 2).mean())), 3),
        "interval holds it": round(float(np.mean((low <= 1) & (high >= 1))), 3),
        "interval ends before": round(float(np.mean(high < 1)), 3),
        "high over the score": round(float(np.median(high / score)), 3),
        "low is 0": round(float(np.mean(low == 0)), 3),
    }


if __name__ == "__main__":
    main()
