"""A pool of real gradient norms, whose largest is known: of the digits' DenseNet, or of a DenseNet-BC for CIFAR-10.

||grad g(x)||_2 at points uniform in the L2 ball of radius 1 around one image that training has not seen, g the margin
to the second most likely class, as float32 numbers of a .npy file, whose name is the pool's in tables. ``densenet_bc``
needs the checkpoint and the images of benchmarks/cifar10.py. With ``--minutes``, fewer points where time runs out.
Example: python benchmarks/gradient_pool.py --network small_densenet --points 100000 --out small_densenet.npy
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
from clever.maxima import Site
from clever.models import frozen
from clever.subjects import subject_of

AT_ONCE = {"small_densenet": 256, "densenet_bc": 16}
"""Points of a forward pass: what is fast on one core."""


def main() -> None:
    """Writes the pool."""
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described.add_argument("--out", type=Path, required=True)
    described.add_argument("--network", choices=AT_ONCE, default="small_densenet")
    described.add_argument("--points", type=int, default=100_000)
    described.add_argument(
        "--image", type=int, default=0, help="which of the held-out digits, or of the CIFAR-10 images"
    )
    described.add_argument("--minutes", type=float, default=math.inf)
    options = described.parse_args()
    torch.set_num_threads(1)
    net, image = subject(options.network, options.image)
    found = gradient_norms(net, image, options.points, AT_ONCE[options.network], options.minutes)
    print(f"{len(found)} points, the largest two {np.sort(found)[-2:]}")
    np.save(options.out, found)


def gradient_norms(
    net: nn.Module, image: torch.Tensor, points: int, at_once: int, minutes: float
) -> NDArray[np.float32]:
    """The pool, (points,), or fewer; the first of them are the same whatever the number."""
    settings, begun = clever.paper(n_samples=at_once, radius={"L2": 1.0}), time.monotonic()
    found: list[torch.Tensor] = []
    with frozen(net):
        chosen = subject_of(net, image, 0, ["top2"], settings)
        assert chosen is not None  # it has no label to differ from
        measure = clever.FirstOrder().measure(net, image, chosen, chosen.classes)
        site = Site(image, chosen.name, settings.ball(clever.Norm.L2), at_once, settings.seed, clip=True)
        column = clever.FirstOrder().column(clever.Norm.L2, settings)
        batches = range(-(-points // at_once))
        for some, _ in tqdm(site.points(batches, at_once), total=len(batches), unit="pass"):
            found.append(measure(some)[:, 0, column])
            if time.monotonic() - begun > 60 * minutes:
                break
    return torch.cat(found)[:points].numpy()


def subject(network: str, index: int) -> tuple[nn.Module, torch.Tensor]:
    """The network and its image, (3, 32, 32)."""
    if network == "small_densenet":
        return published(network), held_out(index + 1)[0][index]
    from cifar10 import sample  # here, since few have its files

    net, images, _ = sample(index + 1)
    return net, images[index]


if __name__ == "__main__":
    main()
