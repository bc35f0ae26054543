"""A pool of real gradient norms, whose largest is known: of the digits' DenseNet, or of a DenseNet-BC for CIFAR-10.

||grad g(x)||_2 at points uniform in the L2 ball of radius 1 around one image that training has not seen, g the margin
to the second most likely class, as float32 numbers of a .npy file, whose name is the pool's in tables. ``densenet_bc``
needs the checkpoint and the images of benchmarks/cifar10.py, and hours: the file is written every minute, and the same
command goes on from it; ``--minutes`` ends it earlier. ``--precision bfloat16 --compilation default`` takes a third of
the time, and gives the norms of the network so computed; ``--device cuda --at-once 1024`` draws others, in minutes.
``--begin`` divides the work: parts of a pool are joined by `numpy.concatenate`. benchmarks/pools/densenet_bc.npy is in
single precision. Its first 303,104 norms were made on a GPU with ``--at-once 1024``, the others on a CPU at the points
of ``--begin 303104 --at-once 64``, by kernels written for this one network at twice the speed, which give this script's
norms to rounding (tests/test_benchmarks.py).
Example: python benchmarks/gradient_pool.py --network small_densenet --points 1000000 --out small_densenet.npy
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from networks import held_out, published
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

import clever
from clever.classifier.compute import Compilation, Compute, Layout, Precision
from clever.classifier.image_context import image_context
from clever.classifier.wrappers import frozen
from clever.norms import Norm
from clever.sampling.maxima import BallSampler
from pipeline.shared.app.artifacts import write_atomically

AT_ONCE = {"small_densenet": 256, "densenet_bc": 16}
"""Points of a forward pass: what is fast on one core."""
KEEP = 60.0
"""Seconds after which the file is written."""


def main() -> None:
    """Writes the pool."""
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described.add_argument("--out", type=Path, required=True)
    described.add_argument("--network", choices=AT_ONCE, default="small_densenet")
    described.add_argument("--points", type=int, default=100_000, help="up to whole passes; default %(default)s")
    described.add_argument(
        "--image", type=int, default=0, help="which of the held-out digits, or of the CIFAR-10 images"
    )
    described.add_argument("--begin", type=int, default=0, help="points before these, which another process sees to")
    described.add_argument("--minutes", type=float, default=math.inf)
    described.add_argument("--precision", choices=list(Precision), default=Precision.FLOAT32)
    described.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    described.add_argument("--at-once", type=int, help="points of a forward pass, and of a sampling batch")
    described.add_argument("--compilation", choices=list(Compilation), default=Compilation.NONE)
    options = described.parse_args()
    torch.set_num_threads(1)
    net, image = context(options.network, options.image)
    compute = Compute(options.precision, Layout.CHANNELS_LAST, options.compilation)
    net, at_once = compute.applied(net.to(options.device)), options.at_once or AT_ONCE[options.network]
    passes = range(options.begin // at_once, -(-(options.begin + options.points) // at_once))
    with compute.arithmetic():
        found = gradient_norms(net, image.to(options.device), passes, at_once, options.minutes, options.out)
    print(f"{len(found)} points, the largest two {np.sort(found)[-2:]}")


def gradient_norms(
    net: nn.Module, image: torch.Tensor, passes: range, at_once: int, minutes: float, out: Path
) -> NDArray[np.float32]:
    """The pool, (points,), or fewer, as ``out`` holds it in the end; its first ones are those that it held before."""
    settings, begun = clever.paper(n_samples=at_once, radius={"L2": 1.0}), time.monotonic()
    found = [np.load(out)] if out.exists() else [np.empty(0, np.float32)]
    kept = time.monotonic()
    with frozen(net):
        chosen = image_context(net, image, 0, ["top2"], settings)
        assert chosen is not None  # it has no label to differ from
        measure = clever.FirstOrder().measure(net, image, chosen, chosen.classes)
        ball_sampler = BallSampler(image, chosen.name, settings.ball(Norm.L2), at_once, settings.seed, clip=True)
        column = clever.FirstOrder().column(Norm.L2, settings)
        done = len(found[0]) // at_once
        found[0], left = found[0][: done * at_once], passes[done:]
        for some, _ in tqdm(ball_sampler.points(left, at_once), total=len(left), unit="pass"):
            found.append(measure(some)[:, 0, column].cpu().numpy())
            if time.monotonic() - kept > KEEP:
                found, kept = [_written(found, out)], time.monotonic()
            if time.monotonic() - begun > 60 * minutes:
                break
    return _written(found, out)


def _written(found: list[NDArray[np.float32]], out: Path) -> NDArray[np.float32]:
    pool = np.concatenate(found)
    write_atomically(out, lambda file: np.save(file, pool))
    return pool


def context(network: str, index: int) -> tuple[nn.Module, torch.Tensor]:
    """The network and its image, (3, 32, 32)."""
    if network == "small_densenet":
        return published(network), held_out(index + 1)[0][index]
    from cifar10 import sample  # here, since few have its files

    net, images, _ = sample(index + 1)
    return net, images[index]


if __name__ == "__main__":
    main()
