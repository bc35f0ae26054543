"""Gradients per second and memory of the sampling loop, beside a bare forward-and-backward loop over the same network.

The two take turns in one process, so that their ratio holds on a machine whose speed drifts. Random weights: speed does
not depend on them. Example: python benchmarks/sampling.py --network densenet121 --targets 3
"""

import resource
import statistics
import time

import torch
import torchvision
from report import parser, report
from torch import nn

from clever import Ball, Defended, Identity, Norm
from clever.capacity import Capacity
from clever.maxima import Site, batch_maxima
from clever.models import frozen
from clever.orders import FirstOrder


def network(name: str) -> tuple[nn.Module, int, int]:
    """The network, its image size and how many points make a round of a few seconds on two cores."""
    if name == "densenet121":
        return torchvision.models.densenet121(weights=None), 224, 32
    small = torchvision.models.DenseNet(8, (3, 3, 3), 16, bn_size=2, num_classes=10)
    return small, 32, 4096


def bare(net: nn.Module, points: torch.Tensor) -> None:
    """One forward and one backward pass for one target, and nothing else."""
    x = points.requires_grad_()
    logits = net(x)
    torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), x)


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=["densenet121", "small"], default="small")
    described.add_argument("--targets", type=int, default=1, help="target classes that share a forward pass")
    described.add_argument("--norm", choices=[str(norm) for norm in Norm], default="L2", help="the ball sampled")
    described.add_argument("--rounds", type=int, default=5, help="turns of each loop; the medians are printed")
    described.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = described.parse_args()

    torch.manual_seed(0)
    net, size, n_points = network(options.network)
    net = net.to(options.device)
    centre = torch.rand(3, size, size, device=options.device)
    site = Site(centre, "benchmark", Ball(Norm.named(options.norm), 3.0), n_points // 4, 0, True)
    with frozen(net):
        measure = FirstOrder().measure(Defended(net, Identity()), 0, range(1, options.targets + 1))
        capacity = Capacity.of(measure, centre)
        points = torch.rand(capacity.size, *centre.shape, device=options.device)
        ours, loop = [], []
        for turn in range(options.rounds + 1):
            started = time.perf_counter()
            batch_maxima(measure, site, range(4), capacity, lambda _: None)
            ours.append(4 * site.n_samples * options.targets / (time.perf_counter() - started))
            started, passes = time.perf_counter(), max(1, n_points // capacity.size)
            for _ in range(passes):
                bare(net, points)
            if options.device != "cpu":
                torch.cuda.synchronize()
            loop.append(passes * capacity.size / (time.perf_counter() - started))
            if turn == 0:
                ours.clear(), loop.clear()  # the first turn only warms up
    row = {
        "network": options.network,
        "size": size,
        "targets": options.targets,
        "ball": options.norm,
        "points a pass": capacity.size,
        "gradients/s": round(statistics.median(ours), 1),
        "bare loop gradients/s": round(statistics.median(loop), 1),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, loop, strict=True)), 3),
        "peak memory MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    report([row], options.out, options.device)


if __name__ == "__main__":
    main()
