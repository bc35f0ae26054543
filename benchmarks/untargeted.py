"""How biased the smallest of many noisy scores is, and how often its interval holds the true one.

The score of a class is its margin over an end point, whose maxima are independent of those of other classes and follow
a reverse Weibull law of shape 4, a fifth of the end point wide. True scores are equal, or spread: their logarithms are
normal, a fifth or a half wide. ``plain``: the smallest estimate over the smallest true score, and the interval of that
class alone. ``corrected``: `clever.untargeted.smallest`, with the interval of the bootstrap and the hull of both, which
is that of the score. A sample of 200 classes also is four of 50 and twenty of 10.
Example: python benchmarks/untargeted.py --out benchmarks/results/untargeted.csv
"""

import numpy as np
from report import parser, report
from tqdm import tqdm

from clever.extreme_value import Estimator, end_points
from clever.untargeted import Candidate, drawn_end_points, without_bias
from clever.weibull import Array

CLASSES = (10, 50, 200)
SIZES = (16, 32, 100)
SPREADS = (0.0, 0.2, 0.5)
END, SHAPE, SCALE = 1.0, 4.0, 0.2


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=20, help="of the largest number of classes")
    described.add_argument("--classes", type=int, nargs="+", default=CLASSES)
    described.add_argument("--batches", type=int, nargs="+", default=SIZES)
    described.add_argument("--values", type=int, default=1, help="of each batch, for the estimator r_largest")
    options = described.parse_args()
    estimator = Estimator.PROFILE if options.values == 1 else Estimator.R_LARGEST
    bar = tqdm(total=len(options.batches) * options.samples, unit="sample")
    rows = []
    for n_batches in options.batches:
        found: dict[tuple[int, float], list[Array]] = {}
        for seed in range(options.samples):
            rng = np.random.default_rng([seed, n_batches])
            for key, told in _sample(rng, options.classes, n_batches, options.values, estimator):
                found.setdefault(key, []).append(told)
            bar.update()
        rows += [
            {"classes": classes, "spread": spread, "N_b": n_batches, "estimator": str(estimator)}
            | {"values a batch": options.values}
            | _row(np.array(told))
            for (classes, spread), told in sorted(found.items())
        ]
    report(sorted(rows, key=lambda row: (row["classes"], row["spread"])), options.out)


def _sample(
    rng: np.random.Generator, numbers: list[int], n_batches: int, values: int, estimator: Estimator
) -> list[tuple[tuple[int, float], Array]]:
    """For classes and spread: plain, corrected, both intervals, (6,), in units of the true smallest score."""
    most = max(numbers)
    arrivals = rng.exponential(size=(most, n_batches, values)).cumsum(2)
    largest = (END - SCALE * arrivals ** (1 / SHAPE)).astype(np.float32)
    points = end_points(largest, estimator)
    candidates = [Candidate(row, point, float) for row, point in zip(largest, points, strict=True)]
    ends = drawn_end_points(candidates, rng)
    told = []
    for spread in SPREADS:
        margins = END * np.exp(spread * rng.normal(size=most))
        plain = margins / np.array([point.value for point in points])
        for classes in numbers:
            for first in range(0, most - classes + 1, classes):
                these = slice(first, first + classes)
                one, true = without_bias(plain[these], (margins / ends)[:, these]), margins[these].min() / END
                chosen = first + int(plain[these].argmin())
                alone = margins[chosen] / np.array([points[chosen].high, points[chosen].low])
                found = [plain[these].min(), one.corrected, *alone, one.low, one.high]
                told.append(((classes, spread), np.array(found) / true))
    return told


def _row(told: Array) -> dict[str, object]:
    plain, corrected, low, high, joint_low, joint_high = told.T
    least, most = np.fmin(low, joint_low), np.fmax(high, joint_high)
    return {
        "samples": len(told),
        "plain, over the truth": round(float(np.exp(np.log(plain).mean())), 3),
        "corrected, over the truth": round(float(np.exp(np.log(corrected).mean())), 3),
        "plain, log error, rms": round(float(np.sqrt((np.log(plain) ** 2).mean())), 3),
        "corrected, log error, rms": round(float(np.sqrt((np.log(corrected) ** 2).mean())), 3),
        "the class's own interval holds it": round(float(np.mean((low <= 1) & (high >= 1))), 3),
        "the bootstrap's holds it": round(float(np.mean((joint_low <= 1) & (joint_high >= 1))), 3),
        "the hull holds it": round(float(np.mean((least <= 1) & (most >= 1))), 3),
        "the hull's high over the score": round(float(np.median(most / plain)), 3),
        "the hull begins at 0": round(float(np.mean(least == 0)), 3),
    }


if __name__ == "__main__":
    main()
