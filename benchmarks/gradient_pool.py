"""A pool of real gradient norms, whose largest is known: of the digits' DenseNet, around one held-out digit.

||grad g(x)||_2 at points uniform in the L2 ball of radius 1 around the digit, g the margin to the second most likely
class, as float32 numbers of a .npy file. Example: python benchmarks/gradient_pool.py --points 100000 --out pool.npy
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from networks import published
from numpy.typing import NDArray
from tqdm import tqdm

import clever
from clever.maxima import Site
from clever.models import frozen
from clever.subjects import subject_of
from pipeline.prepare.digits import Digits

AT_ONCE = 256


def main() -> None:
    """Writes the pool."""
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described.add_argument("--out", type=Path, required=True)
    described.add_argument("--points", type=int, default=100_000)
    described.add_argument("--digit", type=int, default=0, help="which of the held-out digits")
    options = described.parse_args()
    torch.set_num_threads(1)
    np.save(options.out, gradient_norms(options.points, options.digit))


def gradient_norms(points: int, digit: int) -> NDArray[np.float32]:
    """The pool, (points,)."""
    net, image = published("small_densenet"), held_out(digit)
    settings = clever.paper(n_samples=AT_ONCE, radius={"L2": 1.0})
    with frozen(net):
        subject = subject_of(net, image, 0, ["top2"], settings)
        assert subject is not None  # it has no label to differ from
        measure = clever.FirstOrder().measure(net, image, subject, subject.classes)
        site = Site(image, subject.name, settings.ball(clever.Norm.L2), AT_ONCE, settings.seed, clip=True)
        column = clever.FirstOrder().column(clever.Norm.L2, settings)
        drawn = site.points(range(-(-points // AT_ONCE)), AT_ONCE)
        found = [measure(some)[:, 0, column] for some, _ in tqdm(drawn, total=-(-points // AT_ONCE), unit="pass")]
    return torch.cat(found)[:points].numpy()


def held_out(digit: int) -> torch.Tensor:
    """One of the digits that training does not see, (3, 32, 32)."""
    candidates = list(Digits(n_images=360, size=32).candidates(1215))  # as conf/data/digits.yaml has it
    return torch.from_numpy(np.ascontiguousarray(candidates[digit].load())).float() / 255


if __name__ == "__main__":
    main()
