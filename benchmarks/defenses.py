"""Gradients per second behind each defense, with BPDA, beside those of the undefended network in the same process.

Example: python benchmarks/defenses.py --network densenet121
"""

import statistics
import time

import torch
from networks import SIZES, network, subject_with_targets
from report import parser, report

from clever import JPEG, PNG, BitDepth, Defended, Identity, Quantize
from clever._internal.capacity import Capacity
from clever.bounds.first_order import FirstOrder
from clever.classifier.wrappers import frozen
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler, batch_maxima

DEFENSES = {
    "identity": Identity(),
    "JPEG, libjpeg": JPEG(codec="libjpeg"),
    "JPEG, torch": JPEG(codec="torch"),
    "bit depth": BitDepth(),
    "quantize": Quantize(),
    "PNG": PNG(),
}


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=list(SIZES), default="small")
    described.add_argument("--targets", type=int, default=1, help="target classes that share a forward pass")
    described.add_argument("--rounds", type=int, default=5, help="turns of each; the medians are printed")
    described.add_argument("--points", type=int, help="points of a turn (default: a second or two on two cores)")
    described.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = described.parse_args()
    net, size = network(options.network, options.device), SIZES[options.network]
    n_points = options.points or {"densenet121": 16, "small": 4096}[options.network]
    centre = torch.rand(3, size, size, device=options.device)
    ball_sampler = BallSampler(centre, "benchmark", Ball(Norm.L2, 3.0), n_points, 0, True)
    seconds: dict[str, list[float]] = {name: [] for name in DEFENSES}
    with frozen(net):
        context, targets = subject_with_targets(net, centre, options.targets)
        measures = {
            name: FirstOrder().measure(Defended(net, defense), centre, context, targets)
            for name, defense in DEFENSES.items()
        }
        capacity = Capacity.estimate(measures["identity"], centre)
        for turn in range(options.rounds + 1):
            for name, measure in measures.items():
                started = time.perf_counter()
                batch_maxima(measure, ball_sampler, range(1), capacity, lambda _: None)
                if turn:  # the first turn only warms up
                    seconds[name].append(time.perf_counter() - started)
    rows = [
        {
            "network": options.network,
            "defense": name,
            "targets": options.targets,
            "gradients/s": round(n_points * options.targets / statistics.median(taken), 1),
            "ratio to identity": round(
                statistics.median(a / b for a, b in zip(seconds["identity"], taken, strict=True)), 3
            ),
        }
        for name, taken in seconds.items()
    ]
    report(rows, options.out, options.device)


if __name__ == "__main__":
    main()
