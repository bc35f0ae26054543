"""Which estimator of an end point has the smallest error at equal cost: the same batches for all.

For each law (benchmarks/laws.py), N_s and N_b: bias (median of value over true end point, less 1), the root mean square
of log(value / truth), and that in ranges of the maxima. A pool (benchmarks/gradient_pool.py) must hold twice the
points of a sample. Each row names the values a batch that ``r_largest`` was given.
Example: python benchmarks/estimators.py --pool pool.npy --out benchmarks/results/estimators.csv
"""

from pathlib import Path

import numpy as np
from laws import LargestOf, affordable, cells
from report import parser, report
from tqdm import tqdm

from clever.extreme_value.estimators import Estimator, end_points

RANKS = (2, 4, 8)
"""Beside those that `Estimator.n_largest` chooses."""


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=100)
    described.add_argument("--pool", type=Path, nargs="*", default=[], help=".npy files of benchmarks/gradient_pool.py")
    options = described.parse_args()
    bounded = [(law, n) for law, n in cells(options.pool) if np.isfinite(law.end)]
    report([row for cell in tqdm(bounded, unit="cell") for row in _errors(*cell, options.samples)], options.out)


def _errors(law: LargestOf, n_batches: int, samples: int) -> list[dict[str, object]]:
    few = affordable(law, n_batches, samples, least=10)
    largest = law.largest(few, n_batches, seed=2)
    unit = float(np.ptp(largest[:, :, 0], axis=1).mean())

    def rms(errors: np.ndarray) -> float:
        return float(np.sqrt(np.mean(errors**2)))

    rows = []
    for estimator in Estimator:
        own = estimator.n_largest(law.n_samples)
        choices = [own, *(r for r in RANKS if r != own)] if estimator is Estimator.R_LARGEST else [own]
        for ranks in choices:
            points = end_points(largest[:, :, :ranks], estimator)
            value = np.array([point.value for point in points])
            rows.append(
                {
                    "law": law.name,
                    "N_s": law.n_samples,
                    "N_b": n_batches,
                    "samples": few,
                    "estimator": str(estimator),
                    "values a batch": ranks,
                    "chosen": ranks == own,
                    "bias": round(float(np.median(value / law.end) - 1), 4),
                    "log error, rms": round(rms(np.log(value / law.end)), 4),
                    "error in ranges of the maxima, rms": round(rms(value - law.end) / unit, 3),
                }
            )
    return rows


if __name__ == "__main__":
    main()
