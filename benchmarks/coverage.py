"""How often nominal 95 % intervals of an end point hold the true one, and how long they are, over laws of known end.

For each law (benchmarks/laws.py): shares of samples whose interval (`EndPoint.low`, `EndPoint.high`) holds the end
point, lies beyond it, or ends before it; that are flagged `unbounded`, since nothing excludes that there is no end
point, which without an end point is the truth; that have no interval, as `discrete` (shares are of the others); the
median length in ranges of the maxima. ``of the pool``: the share of a pool's points that a sample takes, and of samples
that hold its largest value, so that their intervals, which begin beyond the sample maximum, do not hold it. By the
likelihood of the maxima (``profile``) and of the r largest. Beside them, of the first samples, a parametric bootstrap,
which is always finite: the error of log(value - sample maximum) among samples of the fitted law, each fitted by
``profile`` anew.
Example: python benchmarks/coverage.py --pool small_densenet.npy --out benchmarks/results/coverage.csv
"""

from pathlib import Path

import numpy as np
from laws import SIZES, Array, LargestOf, affordable, cells
from report import parser, report
from tqdm import tqdm

from clever.extreme_value.estimators import EndPoint, Estimator, end_points


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=100)
    described.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="N_b")
    described.add_argument("--bootstrapped", type=int, default=40, help="samples that have a bootstrap interval")
    described.add_argument("--replicates", type=int, default=100)
    described.add_argument("--pool", type=Path, nargs="*", default=[], help=".npy files of benchmarks/gradient_pool.py")
    options = described.parse_args()
    rows = [
        row
        for cell in tqdm(cells(options.pool, options.sizes), unit="cell")
        for row in _coverage(*cell, options.samples, options.bootstrapped, options.replicates)
    ]
    report(rows, options.out)


def _coverage(law: LargestOf, n: int, samples: int, bootstrapped: int, replicates: int) -> list[dict[str, object]]:
    few = affordable(law, n, samples, least=20)
    largest = law.largest(few, n, seed=1)
    span = np.ptp(largest[:, :, 0], axis=1)
    rows = []
    for estimator in (Estimator.PROFILE, Estimator.R_LARGEST):
        points = end_points(largest[:, :, : estimator.n_largest(law.n_samples)], estimator)
        low, high = np.array([(p.low, p.high) for p in points]).T
        given = np.isfinite(low)
        row = {"law": law.name, "N_s": law.n_samples, "N_b": n, "samples": few, "likelihood": str(estimator)}
        row |= {"of the pool": round(law.n_samples * n / law.points, 3)} if np.isfinite(law.points) else {}
        row |= _shares(low[given], high[given], span[given], law.end) | {"have none": np.mean(~given).round(3)}
        if estimator is Estimator.PROFILE and given.any():
            row |= _bootstrap(points[:bootstrapped], span, n, law.end, replicates)
        rows.append(row)
    return rows


def _shares(low: Array, high: Array, span: Array, true: float) -> dict[str, object]:
    if not len(low):
        return {}
    return {
        "holds it": np.mean((low <= true) & (true <= high)).round(3),
        "lies beyond": np.mean(low > true).round(3),
        "ends before": np.mean(high < true).round(3),
        "unbounded": np.isinf(high).mean().round(3),
        "length": np.median((high - low) / span).round(3),
    }


def _bootstrap(points: list[EndPoint], span: Array, n: int, true: float, replicates: int) -> dict[str, object]:
    """The basic bootstrap of the logarithm of the gap, whose error is nearer to a shift than the gap's own."""
    generator = np.random.default_rng(3)
    held, length = [], []
    for point, unit in zip(points, span, strict=False):
        if not np.isfinite(point.shape):
            continue
        drawn = point.value - point.scale * generator.exponential(size=(replicates, n)) ** (1 / point.shape)
        again = end_points(np.maximum(drawn, 0), Estimator.PROFILE)
        gaps = np.array([p.value - p.sample_maximum for p in again])
        truth = np.array([point.value - p.sample_maximum for p in again])
        gap = point.value - point.sample_maximum
        low, high = gap * np.exp(np.quantile(np.log(truth / np.maximum(gaps, 1e-9 * unit)), [0.025, 0.975]))
        held.append(point.sample_maximum + low <= true <= point.sample_maximum + high)
        length.append((high - low) / unit)
    if not held:
        return {}
    return {"bootstrap holds it": np.mean(held).round(3), "bootstrap length": np.median(length).round(3)}


if __name__ == "__main__":
    main()
