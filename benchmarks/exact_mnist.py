"""Scores beside exact L2 distances on MNIST, as experiment=exact has them on the digits.

Networks of one hidden layer of softplus units are trained with a strong and a weak penalty on their curvature; the
distance to the second most likely class is then the solution of a convex problem for most images (Singla and Feizi
2020; pipeline.attack.exact). Test images that the network is right on; those without an exact answer are counted and
left out. Checked for each image: closed certificate <= exact <= attack.

``above``: the share of images whose value is more than the exact distance; ``spread``: the standard deviation of
log(value / exact). ``gradients``: of a score, a Hessian-vector product as two. Times are processor seconds, one thread.
Rows of ART's clever_t are there where it is installed: pip install adversarial-robustness-toolbox.
``--data``: a folder with the four files of MNIST, as they are published or unpacked.
Example: python benchmarks/exact_mnist.py --data mnist --out benchmarks/results/exact_mnist.csv
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from beside import Values, library, one_gradient
from networks import second_classes
from peer import installed, toolbox
from report import parser, report
from torch import Tensor, nn
from torchvision.datasets import MNIST
from tqdm import tqdm

import clever
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.extreme_value.estimators import Estimator
from clever.norms import Norm
from pipeline.attack.exact import Exact, check_order, exact_distances
from pipeline.model.optimisers import OneCycle
from pipeline.model.training import Recipe, train, training_accuracy
from pipeline.prepare.idx_files import unpacked
from pipeline.shared.models.networks.small import mlp
from pipeline.shared.models.networks.two_layer import TwoLayer

L2 = Norm.L2
SECOND = 16
"""So many times fewer points of second order: a curvature costs tens of gradients."""


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--data", type=Path, required=True)
    described.add_argument("--images", type=int, default=30)
    described.add_argument("--train-images", type=int, default=60_000)
    described.add_argument("--epochs", type=int, default=6)
    described.add_argument("--hidden", type=int, default=64)
    told = "of a network each: times the mean curvature, added to the loss"
    described.add_argument("--penalties", type=float, nargs="+", default=[0.1, 0.02], help=told)
    described.add_argument("--radii", type=float, nargs="+", default=[3.0])
    described.add_argument("--n-batches", type=int, default=32)
    described.add_argument("--n-samples", type=int, default=128, help="a 16th of them of second order")
    options = described.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = unpacked("MNIST", options.data, Path(folder))
        learnt, held_out = (_of(MNIST(root, train=part)) for part in (True, False))
    rows = []
    for penalty in options.penalties:
        network = _trained(*(part[: options.train_images] for part in learnt), penalty, options)
        about = {"penalty": penalty, "accuracy": f"{training_accuracy(network, *held_out):.2%}"}
        images, known = _known(network, *held_out, options.images)
        about |= {"not exact": options.images - len(known)}
        rows += [about | row for row in tqdm(_rows(network, images, known, options), unit="row")]
    report(rows, options.out)


def _of(data: MNIST) -> tuple[Tensor, Tensor]:
    return data.data.unsqueeze(1).float() / 255, data.targets


def _trained(images: Tensor, labels: Tensor, penalty: float, options) -> nn.Sequential:
    torch.manual_seed(0)
    layers = mlp(activation="softplus", size=28, channels=1, hidden=options.hidden, classes=10)
    network = nn.Sequential(clever.Normalize([0.5], [0.5]), layers)
    rate, batch = 0.004, min(512, len(images) // 4)
    of = {"epochs": options.epochs, "batch": batch, "learning_rate": rate, "curvature": penalty}
    train(network, images, labels, Recipe(seed=0, optimiser=OneCycle(), **of))
    return network


@dataclass(frozen=True)
class Known:
    """What is known of the images with an exact distance. ``seconds``: of an image, to find it."""

    targets: list[int]
    exact: np.ndarray
    certificate: np.ndarray
    attack: np.ndarray
    seconds: float

    def __len__(self) -> int:
        return len(self.exact)


def _known(network: nn.Sequential, images: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Known]:
    """Of the first ``count`` images that the network is right on, those with an exact distance."""
    images, predicted, targets = second_classes(network, images[: 2 * count], labels[: 2 * count], count)
    attack = smallest_distances(network, images, predicted, targets, L2, Strength(100), seed=0).distance
    started = time.process_time()
    found = exact_distances(TwoLayer.of(network), images.flatten(1), predicted, targets)
    seconds = (time.process_time() - started) / len(images)
    _check(found, attack, targets)
    at = found.converged.nonzero().flatten()
    known = [part[at].double().numpy() for part in (found.distance, found.certificate, attack)]
    return images[at], Known([targets[k] for k in at.tolist()], *known, seconds)


def _check(found: Exact, attack: Tensor, targets: list[int]) -> None:
    ends = {name: value.numpy() for name, value in vars(found).items()}
    check_order(pd.DataFrame(ends | {"id": range(len(targets)), "target": targets, "distance": attack.double()}))


def _rows(network: nn.Sequential, images: Tensor, known: Known, options) -> Iterator[dict[str, object]]:
    orders = {"first order": (clever.FirstOrder(), 1), "second order": (clever.SecondOrder(), SECOND)}
    there, scores = installed(), ()
    for radius in options.radii:
        for order, (chosen, fewer) in orders.items():
            n_b, n_s = options.n_batches, options.n_samples // fewer
            drawn = {"n_batches": n_b, "n_samples": n_s}
            settings = {
                str(estimator): clever.Settings(radius={L2: radius}, clip=True, estimator=estimator, **drawn)
                for estimator in Estimator
            }
            settings["clever.paper"] = clever.paper(radius={L2: radius}, **drawn)
            settings["clever.reference_code"] = clever.reference_code(radius={L2: radius}, **drawn)
            for name, setting in settings.items():
                values = library(network, images, setting, L2, chosen)
                yield _row(known, order, name, values, {"R": radius, "N_b": n_b, "N_s": n_s})
                scores = values.scores
        if there:
            n_s = options.n_samples
            values = toolbox(network, images, known.targets, options.n_batches, n_s, radius, L2)
            yield _row(known, "first order", "clever_t of ART", values, {"R": radius, "N_b": n_b, "N_s": n_s})
    yield _row(known, "", "one gradient", one_gradient(scores))
    yield _row(known, "", "closed certificate", Values(known.certificate, 0.0, 0.0))
    yield _row(known, "", "attack", Values(known.attack, 0.0, 0.0))
    yield _row(known, "", "exact", Values(known.exact, 0.0, known.seconds))


def _row(
    known: Known, order: str, method: str, values: Values, of: dict[str, object] | None = None
) -> dict[str, object]:
    row = {"order": order, "method": method, "R": np.nan, "N_b": np.nan, "N_s": np.nan} | (of or {})
    row |= {name.replace("distance", "exact"): value for name, value in values.columns(known.exact).items()}
    row["capped"] = f"{np.mean([score.capped for score in values.scores]):.0%}" if values.scores else ""
    return row


if __name__ == "__main__":
    main()
