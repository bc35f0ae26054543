"""The same images, targets and budget through ART's `clever_t` and through `clever.score`, beside an attack's distance.

The DenseNet of the digits (data/weights), held-out images that it is right on, the second most likely class. A distance
is the smaller one of the attack of this project and of one of foolbox (Carlini and Wagner's for L2, EAD for L1, FMN for
Linf): the true one is no larger, so that the share above it is the least that is above the true one.

"Same budget" can be meant in two ways. With the same N_b, N_s and R, `clever_t` takes the gradients of two logits at
10 N_s points, whatever N_b is, and draws its batches from these with replacement; `clever.score` takes one gradient, of
the margin, at each of N_b N_s points. The rows "as many gradients" have N_b = 20, where both take 20 N_s.
``spread``: the standard deviation of log(value / distance). Times are processor time of one thread, with all that a
score needs.
Rows of ART's clever_t are there where it is installed: pip install adversarial-robustness-toolbox.
Example: python benchmarks/peers.py --out benchmarks/results/peers.csv
"""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from beside import Values, library, one_gradient
from networks import held_out, published, second_classes
from peer import POOL, installed, toolbox
from report import parser, report
from torch import Tensor, nn
from tqdm import tqdm

import clever
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.classifier.wrappers import frozen
from clever.norms import Norm

RADIUS = {"L1": 30.0, "L2": 3.0, "Linf": 0.1}
"""Those of the authors' code."""


@dataclass(frozen=True)
class Images:
    """Held-out digits that the network is right on, with the second most likely class as target."""

    network: nn.Module
    images: Tensor
    predicted: list[int]
    targets: list[int]

    @classmethod
    def of(cls, count: int) -> "Images":
        """So many of them, the first ones."""
        network = published("small_densenet")
        return cls(network, *second_classes(network, *held_out(2 * count), count))

    def ours(self, norm: Norm, steps: int) -> Values:
        """The distances that this project's attack finds."""
        started = time.process_time()
        of = self.network, self.images, self.predicted, self.targets, norm, Strength(steps)
        found = smallest_distances(*of, seed=0)
        seconds = (time.process_time() - started) / len(self.images)
        return Values(found.distance.double().numpy(), float(found.backwards), seconds)

    def foolbox(self, norm: Norm, steps: int) -> Values:
        """Those that an attack of foolbox finds, infinite where it finds none."""
        with warnings.catch_warnings():  # foolbox 3.3.4 calls one of scipy's functions by its old name
            warnings.simplefilter("ignore", DeprecationWarning)
            from foolbox import PyTorchModel, TargetedMisclassification, attacks
        attack = {
            "L1": attacks.EADAttack(binary_search_steps=5, steps=steps),
            "L2": attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=steps),
            "Linf": attacks.LInfFMNAttack(steps=5 * steps),
        }[str(norm)]
        started, targets = time.process_time(), torch.tensor(self.targets)
        model = PyTorchModel(self.network, bounds=(0, 1), device="cpu")
        found = attack.run(model, self.images, TargetedMisclassification(targets))
        seconds = (time.process_time() - started) / len(self.images)
        with frozen(self.network):
            there = self.network(found).argmax(1) == targets
        distance = norm.of((found - self.images).double()).where(there, torch.inf)
        return Values(distance.numpy(), 5.0 * steps, seconds)


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, default=24)
    described.add_argument("--norms", nargs="+", default=["L2", "Linf", "L1"])
    described.add_argument("--n-batches", type=int, default=50)
    described.add_argument("--n-samples", type=int, default=32)
    described.add_argument("--steps", type=int, default=100, help="of the attacks, five times as many of foolbox's")
    options = described.parse_args()
    torch.set_num_threads(1)
    images = Images.of(options.images)
    norms = [Norm.parse(name) for name in options.norms]
    per_norm = (options.n_batches, options.n_samples, options.steps)
    report([row for norm in tqdm(norms, unit="norm") for row in _rows(images, norm, *per_norm)], options.out)


def _rows(images: Images, norm: Norm, n_b: int, n_s: int, steps: int) -> Iterator[dict[str, object]]:
    attacks = {"attack of this project": images.ours(norm, steps), "attack of foolbox": images.foolbox(norm, steps)}
    distance = np.min([found.values for found in attacks.values()], axis=0)
    radius = {norm: RADIUS[norm]}

    def score(settings: clever.Settings) -> Values:
        return library(images.network, images.images, settings, norm)

    budget, equal = {"n_batches": n_b, "n_samples": n_s}, {"n_batches": 2 * POOL, "n_samples": n_s}
    same = score(clever.Settings(radius=radius, clip=True, **budget))
    found = [
        ("clever.score, default settings", n_b, same),
        ("clever.score, clever.paper", n_b, score(clever.paper(radius=radius, **budget))),
        (
            "clever.score, default settings, as many gradients",
            2 * POOL,
            score(clever.Settings(radius=radius, clip=True, **equal)),
        ),
        ("clever.score, clever.paper, as many gradients", 2 * POOL, score(clever.paper(radius=radius, **equal))),
    ]
    if installed():
        of = images.network, images.images, images.targets, n_b, n_s, RADIUS[norm], norm
        found.append(("clever_t of ART", n_b, toolbox(*of)))
    found += [("one gradient", np.nan, one_gradient(same.scores))]
    found += [(name, np.nan, values) for name, values in attacks.items()]
    for method, batches, values in found:
        row = {"norm": str(norm), "R": RADIUS[norm], "method": method, "N_b": batches, "N_s": n_s}
        if np.isnan(batches):
            row |= {"R": np.nan, "N_s": np.nan}
        scores = [score.capped for score in values.scores] or np.isclose(values.values, RADIUS[norm])
        yield row | values.columns(distance) | {"capped": f"{np.mean(scores):.0%}"}


if __name__ == "__main__":
    main()
