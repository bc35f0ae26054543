"""How far the profile likelihood falls at the true end point, in 97.5 % of samples: the table of
`clever.extreme_value.cutoffs`.

Where the true end point is beyond the estimated one (``high``) and where it is before it (``low``), twice the fall of
the log likelihood that 2.5 % of all samples exceed. Depends only on N_b and the shape, since end points move with the
unit. 3.84 would be the value for infinitely many maxima and a shape above 2.
Example: python benchmarks/cutoffs.py --out benchmarks/results/cutoffs.csv
"""

from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
from report import parser, report
from tqdm import tqdm

from clever.extreme_value.profile import BEND, Profile, peak

SIZES = (5, 8, 12, 16, 24, 32, 64, 128, 512, 1024)
RECIPROCAL_SHAPES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25, 0.15, 0.1, 0.05, 0.02, 0.0)
TAIL = 0.025
AT_ONCE = 2**17


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=8000)
    described.add_argument("--processes", type=int, default=1)
    options = described.parse_args()
    cells = list(product(SIZES, RECIPROCAL_SHAPES))
    with ProcessPoolExecutor(options.processes) as pool:
        made = pool.map(_cutoffs, *zip(*[(*cell, options.samples) for cell in cells], strict=True))
        rows = [
            {"N_b": n, "reciprocal shape": reciprocal, "low": round(low, 2), "high": round(high, 2)}
            for (n, reciprocal), (low, high) in zip(cells, tqdm(made, total=len(cells)), strict=True)
        ]
    report(rows, options.out)


def _cutoffs(n: int, reciprocal_shape: float, samples: int) -> tuple[float, float]:
    """Of the truths before the estimate and beyond it."""
    generator = np.random.default_rng([n, round(100 * reciprocal_shape)])
    left, low, high = samples, [], []
    while left:
        now = min(left, max(1, AT_ONCE // n))
        left -= now
        # -log of exponential variables: Gumbel maxima; their power, with the end point 0, reverse Weibull ones
        power = generator.exponential(size=(now, n))
        maxima = -(power**reciprocal_shape) if reciprocal_shape else -np.log(power)
        top, span = maxima.max(1), np.ptp(maxima, axis=1)
        truth = np.log1p(span / -top / BEND) if reciprocal_shape else np.zeros(now)
        profile = Profile((top - maxima.T).T / span[:, None])
        best = peak(profile)
        at_truth, _ = profile(truth)
        fall = 2 * np.maximum(best.value - at_truth, 0)
        low += np.where(best.u < truth, fall, 0).tolist()
        high += np.where(best.u >= truth, fall, 0).tolist()
    return float(np.quantile(low, 1 - TAIL)), float(np.quantile(high, 1 - TAIL))


if __name__ == "__main__":
    main()
