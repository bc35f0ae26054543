"""How often a score stopped by a tolerance leaves it, and what it saves, over laws of known end (benchmarks/laws.py).

The score is 1 / end point; the same batches are taken in the stages of `Settings`, up to 500. ``rule``: the profile
likelihood's interval reaches no further than the tolerance to either side (`Estimate.narrower`); or, as it was, 1.96
standard errors of ``mle_reg``, on average of both sides. "leaves it": the share of scores further than the tolerance
from that of all 500 batches; "truth is outside": from that of the true end point, of those that stopped before.
Example: python benchmarks/tolerance.py --out benchmarks/results/tolerance.csv
"""

from pathlib import Path

import numpy as np
from laws import Array, LargestOf, beta, pool, reverse_weibull
from report import parser, report
from tqdm import tqdm

import clever
from clever.extreme_value import EndPoint, Estimator, end_points

MOST = 500
N_SAMPLES = 64
"""Points of a batch from a pool, which should hold several times as many as all batches take."""
SIGMAS = 1.96


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=60)
    described.add_argument("--pool", type=Path, nargs="*", default=[], help=".npy files of benchmarks/gradient_pool.py")
    described.add_argument("--tolerances", type=float, nargs="+", default=[0.2, 0.1, 0.05, 0.02])
    options = described.parse_args()
    laws = [reverse_weibull(2.0, 1024), reverse_weibull(5.0, 1024), reverse_weibull(15.0, 1024), beta(128)]
    laws += [pool(file.stem, np.load(file), N_SAMPLES) for file in options.pool]
    rows = [row for law in tqdm(laws, unit="law") for row in _rows(law, options.samples, options.tolerances)]
    report(rows, options.out)


def _rows(law: LargestOf, samples: int, tolerances: list[float]) -> list[dict[str, object]]:
    largest = law.largest(samples, MOST, seed=4)
    rows = []
    stages = [stage.stop for stage in clever.paper(n_batches=MOST, tolerance=0.5).stages()]
    fits = {
        estimator: [end_points(largest[:, :stop, : estimator.values_of(law.n_samples)], estimator) for stop in stages]
        for estimator in (Estimator.MLE_REG, Estimator.PROFILE, Estimator.R_LARGEST)
    }
    for estimator, errors in [(Estimator.MLE_REG, True), *((estimator, False) for estimator in fits)]:
        points = fits[estimator]
        value = np.array([[point.value for point in at] for at in points])
        reach = np.array([[_reach(point, errors) for point in at] for at in points])
        for tolerance in tolerances:
            narrow = np.append(reach[:-1] <= tolerance, np.ones((1, samples), bool), axis=0)
            stopped = narrow.argmax(0)
            off = np.abs(value[-1] / value[stopped, np.arange(samples)] - 1)
            used = np.array(stages)[stopped]
            wrong = np.abs(law.end / value[stopped, np.arange(samples)] - 1)[used < MOST]
            rows.append(
                {
                    "law": law.name,
                    "estimator": str(estimator),
                    "rule": "standard errors" if errors else "profile likelihood",
                    "tolerance": tolerance,
                    "samples": samples,
                    "mean N_b": used.mean().round(1),
                    "saved": round(float(1 - used.mean() / MOST), 3),
                    "stopped early": np.mean(used < MOST).round(3),
                    "leaves it": np.mean(off > tolerance).round(3),
                    "truth is outside": np.mean(wrong > tolerance).round(3) if len(wrong) else np.nan,
                }
            )
    return rows


def _reach(point: EndPoint, errors: bool) -> float:
    """How far the interval of 1 / value goes, as a share of it; NaN is never narrow."""
    ends: Array = np.array([point.low, point.high])
    if errors:
        error = SIGMAS * point.standard_error
        ends = np.array([max(point.value - error, point.sample_maximum), point.value + error])
    below, above = 1 - point.value / ends[1], point.value / ends[0] - 1
    return float((below + above) / 2 if errors else max(below, above))


if __name__ == "__main__":
    main()
