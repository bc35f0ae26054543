"""What a tolerance saves, and how far its scores lie from those of the full budget of N_b batches.

Each image is scored with the full budget; the same batches, taken in stages, are then stopped by each tolerance.
Example: python benchmarks/adaptive.py
"""

import numpy as np
import torch
from networks import SIZES, network
from report import parser, report

import clever


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=list(SIZES), default="small")
    described.add_argument("--images", type=int, default=6)
    described.add_argument("--n-batches", type=int, default=500)
    described.add_argument("--n-samples", type=int, default=32)
    described.add_argument("--tolerances", type=float, nargs="+", default=[0.2, 0.1, 0.05, 0.02])
    options = described.parse_args()
    net, size = network(options.network), SIZES[options.network]
    images = torch.rand(options.images, 3, size, size, generator=torch.Generator().manual_seed(0))

    def run(tolerance: float | None) -> list[clever.Score]:
        settings = clever.paper(
            n_batches=options.n_batches,
            n_samples=options.n_samples,
            radius={"L2": 2.0},
            clip=True,
            cap=False,
            estimator="mle_reg",
            tolerance=tolerance,
        )
        return clever.score(net, images, settings, norms=["L2"], targets=["top2", "random", "least"])

    full = np.array([score.score for score in run(None)])
    rows = []
    for tolerance in options.tolerances:
        scores = run(tolerance)
        error = np.abs(np.array([score.score for score in scores]) / full - 1)
        batches = np.mean([score.n_batches for score in scores])
        rows.append(
            {
                "tolerance": tolerance,
                "scores": len(scores),
                "mean N_b": round(batches, 1),
                "saved": f"{1 - batches / options.n_batches:.0%}",
                "error to full budget, median": f"{np.median(error):.2%}",
                "the same, 90 %": f"{np.quantile(error, 0.9):.2%}",
                "the same, worst": f"{error.max():.2%}",
                "error within tolerance": f"{np.mean(error <= tolerance):.0%}",
            }
        )
    report(rows, options.out)


if __name__ == "__main__":
    main()
