"""What precision, layout and compilation change of scores, beside the sampling error of the scores themselves.

The sampling error is the median half width of the nominal 95 % interval. Random weights are a hard case: trained
networks change less. Example: python benchmarks/precision.py --network densenet121 --n-batches 20
"""

import numpy as np
import torch
from networks import SIZES, network
from report import parser, report

import clever
from clever.classifier.wrappers import frozen

COMPUTE = {
    "channels_last": clever.Compute(layout="channels_last"),
    "compiled": clever.Compute(compilation="default"),
    "tf32": clever.Compute(precision="tf32"),
    "bfloat16": clever.Compute(precision="bfloat16"),
}


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=list(SIZES), default="small")
    described.add_argument("--n-batches", type=int, default=50)
    described.add_argument("--n-samples", type=int, default=16)
    described.add_argument("--only", choices=list(COMPUTE), nargs="+", default=list(COMPUTE))
    described.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = described.parse_args()
    net, size = network(options.network, options.device), SIZES[options.network]
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(options.device)
    settings = clever.paper(
        n_batches=options.n_batches,
        n_samples=options.n_samples,
        radius={"L2": 2.0},
        clip=True,
        cap=False,
        estimator="mle_reg",
    )
    with torch.no_grad():
        targets = net(image)[0].argsort(descending=True)[1:4].tolist()

    def run(compute: clever.Compute) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with frozen(net), compute.arithmetic():
            scores = clever.score(compute.applied(net), image, settings, targets=targets, norms=["L2"])
        values = np.array([score.score / score.margin for score in scores])  # 1 / L: the margin itself also changes
        widths = np.array([(score.high - score.low) / (2 * score.score) for score in scores])
        return values, widths, np.stack([score.maxima for score in scores])

    full, widths, maxima = run(clever.Compute())
    rows = []
    for name in options.only:
        values, _, changed = run(COMPUTE[name])
        difference, of_maxima = np.abs(values / full - 1), np.abs(changed / maxima - 1)
        rows.append(
            {
                "network": options.network,
                "compute": name,
                "batch maxima change, median": f"{np.median(of_maxima):.1e}",
                "batch maxima change, largest": f"{of_maxima.max():.1e}",
                "score changes, largest": f"{difference.max():.1e}",
                "sampling error of the score": f"{np.median(widths):.1e}",
                "less than the sampling error": bool(difference.max() < np.median(widths)),
            }
        )
    report(rows, options.out, options.device)


if __name__ == "__main__":
    main()
