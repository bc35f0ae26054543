"""How often nominal 95 % intervals of an end point hold the true one: by profile likelihood, and by standard errors.

Shares of samples of reverse Weibull maxima whose interval (`EndPoint.low`, `EndPoint.high`) holds the end point, lies
beyond it, or ends before it; and that are flagged `unbounded`, since nothing excludes that there is no end point. Of
the Gumbel law, whose shape is infinite, that flag is the truth. Then the same of 1.96 standard errors about the
estimate of ``mle_reg``, among the samples that have one, and their share.
Example: python benchmarks/coverage.py --out benchmarks/results/coverage.csv
"""

import numpy as np
from report import parser, report
from tqdm import tqdm

from clever.extreme_value import end_points

SIZES = (16, 32, 100, 500)
SHAPES = (1.5, 2.0, 5.0, 15.0, np.inf)
SIGMAS = 1.96
END = 50.0
"""Far enough above 0 for every sample."""


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=1000)
    options = described.parse_args()
    cells = [(n, shape) for n in SIZES for shape in SHAPES]
    report([_coverage(n, shape, options.samples) for n, shape in tqdm(cells, unit="law")], options.out)


def _coverage(n: int, shape: float, samples: int) -> dict[str, object]:
    power = np.random.default_rng(1).exponential(size=(samples, n))  # not the seeds of benchmarks/cutoffs.py
    true = END if np.isfinite(shape) else np.inf
    points = end_points(END - (power ** (1 / shape) if np.isfinite(shape) else np.log(power)))
    low, high, value, error = np.array([(p.low, p.high, p.value, p.standard_error) for p in points]).T
    known = ~np.isnan(error)
    held = np.abs(value - true)[known] <= SIGMAS * error[known]
    return {
        "N_b": n,
        "shape": shape,
        "holds it": np.mean((low <= true) & (true <= high)).round(3),
        "lies beyond": np.mean(low > true).round(3),
        "ends before": np.mean(high < true).round(3),
        "unbounded": np.isinf(high).mean().round(3),
        "standard errors hold it": held.mean().round(3) if known.any() else np.nan,
        "have a standard error": known.mean().round(3),
    }


if __name__ == "__main__":
    main()
