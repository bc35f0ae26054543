"""Gradients per second and memory of the sampling loop, beside a bare forward-and-backward loop over the same network.

The two take turns in one process, so that their ratio holds on a machine whose speed drifts. With --layout, --precision
or --compilation both loops are run that way, and a plain eager loop in single precision beside them.
Example: python benchmarks/sampling.py --network densenet121 --targets 3
"""

import resource
import statistics
import time
from operator import truediv

import torch
from networks import SIZES, network, subject_with_targets
from report import parser, report
from torch import nn

from clever import Compute, Defended, Identity
from clever._internal.capacity import Capacity
from clever.bounds.first_order import FirstOrder
from clever.classifier.wrappers import frozen
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler, batch_maxima


def bare(net: nn.Module, points: torch.Tensor) -> None:
    """One forward and one backward pass for one target, and nothing else."""
    x = points.requires_grad_()
    logits = net(x)
    torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), x)


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=list(SIZES), default="small")
    described.add_argument("--targets", type=int, default=1, help="target classes that share a forward pass")
    described.add_argument("--norm", choices=[str(norm) for norm in Norm], default="L2", help="the ball sampled")
    described.add_argument("--rounds", type=int, default=5, help="turns of each loop; the medians are printed")
    described.add_argument("--points", type=int, help="points of a turn (default: a few seconds on two cores)")
    described.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, default in vars(Compute()).items():
        described.add_argument(f"--{name}", default=str(default), help=f"one of {', '.join(type(default))}")
    options = described.parse_args()
    compute = Compute(options.precision, options.layout, options.compilation)

    net, size = network(options.network, options.device), SIZES[options.network]
    n_points = options.points or {"densenet121": 32, "small": 4096}[options.network]
    centre = torch.rand(3, size, size, device=options.device)
    ball_sampler = BallSampler(centre, "benchmark", Ball(Norm.parse(options.norm), 3.0), n_points // 4, 0, True)
    with frozen(net), compute.arithmetic():
        faster = compute.applied(net)
        context, targets = subject_with_targets(net, centre, options.targets)
        measure = FirstOrder().measure(Defended(faster, Identity()), centre, context, targets)
        capacity = Capacity.estimate(
            FirstOrder().measure(Defended(net, Identity()), centre, context, targets[:1]), centre
        )
        points = torch.rand(capacity.size, *centre.shape, device=options.device)
        passes = max(1, n_points // capacity.size)

        def ours() -> int:
            batch_maxima(measure, ball_sampler, range(4), capacity, lambda _: None)
            return 4 * ball_sampler.n_samples * options.targets

        def loop(of: nn.Module) -> int:
            for _ in range(passes):
                bare(of, points)
            if options.device != "cpu":
                torch.cuda.synchronize()
            return passes * capacity.size

        started = time.perf_counter()
        ours(), loop(faster)
        first = time.perf_counter() - started
        speeds: dict[str, list[float]] = {"ours": [], "bare": [], "eager": []}
        for _ in range(options.rounds):
            for name, work in (("ours", ours), ("bare", lambda: loop(faster)), ("eager", lambda: loop(net))):
                with Compute().arithmetic() if name == "eager" else compute.arithmetic():
                    started = time.perf_counter()
                    gradients = work()
                    speeds[name].append(gradients / (time.perf_counter() - started))
    row = {
        "network": options.network,
        "size": size,
        "compute": f"{compute.precision}, {compute.layout}, compilation {compute.compilation}",
        "targets": options.targets,
        "ball": options.norm,
        "points a pass": capacity.size,
        "gradients/s": round(statistics.median(speeds["ours"]), 1),
        "bare loop gradients/s": round(statistics.median(speeds["bare"]), 1),
        "ratio": round(statistics.median(map(truediv, speeds["ours"], speeds["bare"])), 3),
        "ratio to plain eager": round(statistics.median(map(truediv, speeds["ours"], speeds["eager"])), 3),
        "first turn, compilation included, s": round(first, 1),
        "peak memory MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if options.device != "cpu":
        row["peak GPU memory MiB"] = torch.cuda.max_memory_allocated() // 2**20
    report([row], options.out, options.device)


if __name__ == "__main__":
    main()
