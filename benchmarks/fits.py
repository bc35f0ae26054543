"""Time of the Weibull fits of the paper's whole run, and the distance of their end points from the authors' method.

100 images x 3 targets x 3 norms x 6 cells = 5400 samples of 500 maxima, fitted a cell's image at a time (9 samples), as
the stage score does. The authors' method, Nelder-Mead from seven starts by scipy, on some of them.
Example: python benchmarks/fits.py
"""

import time

import numpy as np
from report import parser, report
from scipy.optimize import fmin
from scipy.stats import kstest, weibull_max
from tqdm import tqdm

from clever.extreme_value.estimators import end_points
from clever.extreme_value.laws import MIN_PVALUE
from clever.extreme_value.maximum_likelihood import PENALTY, SHAPES


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--samples", type=int, default=5400)
    described.add_argument("--n-batches", type=int, default=500)
    described.add_argument("--compared", type=int, default=40, help="samples that the authors' method fits as well")
    options = described.parse_args()
    generator = np.random.default_rng(0)
    shapes = generator.uniform(2, 12, (options.samples, 1))
    maxima = 10 + weibull_max.rvs(shapes, size=(options.samples, options.n_batches), random_state=generator)
    started = time.perf_counter()
    ours = np.array([point.value for nine in np.split(maxima, range(9, len(maxima), 9)) for point in end_points(nine)])
    seconds = time.perf_counter() - started
    compared = maxima[: options.compared]
    started = time.perf_counter()
    theirs = np.array([_authors(row) for row in tqdm(compared, desc="authors' method", unit="fit")])
    taken = (time.perf_counter() - started) / len(compared)
    difference = np.abs(ours[: len(compared)] - theirs) / np.ptp(compared, axis=1)
    row = {
        "samples": options.samples,
        "N_b": options.n_batches,
        "seconds": round(seconds, 1),
        "ms a fit": round(1e3 * seconds / options.samples, 2),
        "authors' method, ms a fit": round(1e3 * taken, 1),
        "difference of end points in ranges of the maxima, median": float(f"{np.median(difference):.1e}"),
        "the same, 90 %": float(f"{np.quantile(difference, 0.9):.1e}"),
        "the same, worst": float(f"{difference.max():.1e}"),
    }
    report([row], options.out)


def _authors(row: np.ndarray) -> float:
    """Their fit: rescaled by the range, location, shape and scale by Nelder-Mead, the start with the best p-value."""
    top, span = row.max(), np.ptp(row)
    z = (row - top) / span

    def loss(theta: np.ndarray) -> float:
        shape, location, scale = theta
        if shape <= 0 or scale <= 0 or location <= 0:
            return np.inf
        return -weibull_max.logpdf(z, shape, location, scale).sum() + PENALTY * scale**2

    fitted = [fmin(loss, [shape, 0.1, 1.0], disp=False, maxiter=1000, maxfun=1000) for shape in SHAPES]
    pvalues = [kstest(z, weibull_max(*theta).cdf).pvalue for theta in fitted]
    best = int(np.argmax(pvalues))
    return float(top + (fitted[best][1] * span if pvalues[best] >= MIN_PVALUE else 0))


if __name__ == "__main__":
    main()
