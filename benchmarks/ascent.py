"""What ascent adds to sampling, and what it costs: the largest gradient norm found by both, for several radii.

The published softplus DenseNet of the digits on the first of them, enlarged to 32 x 32, top-2, L2. For each radius and
number of steps: the gain over the maximum of the sampled points, and over as many gradients spent on sampling alone.
Example: python benchmarks/ascent.py --images 6 --out benchmarks/results/ascent.csv
"""

import numpy as np
import torch
from curvature import digits
from networks import published
from report import parser, report
from torch import Tensor
from tqdm import tqdm

import clever


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, default=6)
    described.add_argument("--radii", nargs="+", type=float, default=[1.0, 2.0, 5.0])
    described.add_argument("--steps", nargs="+", type=int, default=[10, 30])
    described.add_argument("--batches", type=int, default=32)
    described.add_argument("--samples", type=int, default=16)
    options = described.parse_args()
    torch.set_num_threads(1)
    net = published("densenet_softplus")
    images = digits(large=True)[0][: options.images]

    def constants(radius: float, batches: int, steps: int) -> tuple[Tensor, float]:
        settings = clever.Settings(
            n_batches=batches,
            n_samples=options.samples,
            radius={"L2": radius},
            clip=True,
            estimator="maximum",
            ascent=steps,
        )
        scores = clever.score(net, images, settings, targets=["top2"], norms=["L2"], progress=False)
        return torch.tensor([score.constant for score in scores]), float(np.mean([score.gradients for score in scores]))

    rows = []
    for radius in tqdm(options.radii):
        sampled, cost = constants(radius, options.batches, 0)
        for steps in options.steps:
            climbed, total = constants(radius, options.batches, steps)
            longer, _ = constants(radius, round(total / options.samples), 0)
            gain = climbed / sampled
            rows.append(
                {
                    "radius": radius,
                    "steps": steps,
                    "images": len(images),
                    "gradients, sampling": cost,
                    "gradients, with ascent": total,
                    "gain over sampling, median": f"{gain.quantile(0.5):.3f}",
                    "smallest": f"{gain.min():.3f}",
                    "largest": f"{gain.max():.3f}",
                    "gain over as many gradients of sampling, median": f"{(climbed / longer).quantile(0.5):.3f}",
                }
            )
    report(rows, options.out)


if __name__ == "__main__":
    main()
