"""DDN, FMN, and Carlini and Wagner's attack of `clever.attacks` beside those of foolbox, with the same settings.

The DenseNet of the digits (data/weights), held-out images that it classifies correctly, the second most likely class;
undefended, and behind PNG and JPEG with BPDA. Each attack runs alone, as the search of `clever.attack` starts it. Rows
"all" compare whole searches on undefended images, with each library's attacks in the place of the other's.
Ratios are our distance over foolbox's, of the images where both find one. foolbox is needed: pip install foolbox.
Example: python benchmarks/attacks_against_foolbox.py --out benchmarks/results/attacks_against_foolbox.csv
"""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from networks import held_out, published, second_classes
from report import parser, report
from torch import Tensor, nn

import clever
from clever.attacks import search
from clever.attacks.carlini_wagner import carlini_wagner
from clever.attacks.ddn import ddn
from clever.attacks.fast_minimum_norm import fast_minimum_norm
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.classifier.wrappers import frozen
from clever.norms import Norm

DEFENSES = {"identity": clever.Identity(), "png": clever.PNG(), "jpeg": clever.JPEG()}
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Pair:
    """One algorithm, twice."""

    name: str
    norm: Norm
    ours: Attack
    foolbox: Attack


def pairs(steps: int, weights: int) -> list[Pair]:
    """Of each norm, with the settings that the search has: gamma 0.1, a first step or ball of 1."""
    with warnings.catch_warnings():  # foolbox 3.3.4 calls one of scipy's functions by its old name
        warnings.simplefilter("ignore", DeprecationWarning)
        from foolbox import PyTorchModel, TargetedMisclassification, attacks

    def theirs(attack: Any) -> Attack:
        def run(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
            torch.manual_seed(0)
            model = PyTorchModel(network, bounds=(0, 1), device=images.device)
            return attack.run(model, images, TargetedMisclassification(targets))  # type: ignore[no-any-return]

        return run

    def fmn(norm: Norm) -> Attack:
        return lambda network, images, targets: fast_minimum_norm(network, images, targets, norm, steps=steps)

    def own_ddn(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return ddn(network, images, targets, steps=steps, generator=torch.Generator().manual_seed(0))

    def own_carlini_wagner(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return carlini_wagner(network, images, targets, weights=weights, steps=steps)

    return [
        Pair("FMN", Norm.L1, fmn(Norm.L1), theirs(attacks.L1FMNAttack(steps=steps, gamma=0.1))),
        Pair("FMN", Norm.LINF, fmn(Norm.LINF), theirs(attacks.LInfFMNAttack(steps=steps, gamma=0.1))),
        Pair("DDN", Norm.L2, own_ddn, theirs(attacks.DDNAttack(steps=steps, gamma=0.1))),
        Pair("Carlini and Wagner", Norm.L2, own_carlini_wagner, theirs(attacks.L2CarliniWagnerAttack(weights, steps))),
    ]


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, default=20)
    described.add_argument("--steps", type=int, default=100)
    described.add_argument("--weights", type=int, default=9, help="of the margin, in Carlini and Wagner's attack")
    options = described.parse_args()
    torch.set_num_threads(1)
    network = published("small_densenet")
    images, predicted, targets = second_classes(network, *held_out(2 * options.images), options.images)
    report(list(rows(network, images, predicted, targets, pairs(options.steps, options.weights), options)), options.out)


def rows(
    network: nn.Module, images: Tensor, predicted: list[int], targets: list[int], compared: list[Pair], options: Any
) -> Iterator[dict[str, object]]:
    """One for each attack and defense, then one for each norm of the whole search."""
    labels, settings = torch.tensor(targets), {"images": len(images), "steps": options.steps}
    for name, defense in DEFENSES.items():
        defended = clever.Defended(network, defense)
        for pair in compared:
            with frozen(defended):
                both = [_distances(run, defended, images, labels, pair.norm) for run in (pair.ours, pair.foolbox)]
            yield {"attack": pair.name, "norm": str(pair.norm), "defense": name} | settings | _columns(*both)
    for norm in Norm:
        one = next(pair for pair in compared if pair.norm is norm)

        def whole(norm: Norm = norm) -> tuple[Tensor, float]:
            started = time.process_time()
            found = smallest_distances(network, images, predicted, targets, norm, Strength(options.steps), seed=0)
            return found.distance.double(), time.process_time() - started

        ours = whole()
        replaced = {name: getattr(search, name) for name in ("ddn", "fast_minimum_norm")}
        try:
            for name in replaced:
                setattr(search, name, lambda net, x, labels, *_, of=one, **__: of.foolbox(net, x, labels))
            foolbox = whole()
        finally:
            for name, attack in replaced.items():
                setattr(search, name, attack)
        yield {"attack": "all", "norm": str(norm), "defense": "identity"} | settings | _columns(ours, foolbox)


def _distances(run: Attack, network: nn.Module, images: Tensor, labels: Tensor, norm: Norm) -> tuple[Tensor, float]:
    """Infinite where nothing was found; and the processor time."""
    started = time.process_time()
    found = run(network, images, labels)
    seconds = time.process_time() - started
    with torch.no_grad():
        there = network(found).argmax(1) == labels
    return norm.of((found - images).double()).where(there, torch.inf), seconds


def _columns(ours: tuple[Tensor, float], foolbox: tuple[Tensor, float]) -> dict[str, object]:
    (distance, seconds), (other, other_seconds) = ours, foolbox
    both = distance.isfinite() & other.isfinite()
    ratio = (distance / other)[both]
    known = len(ratio) > 0
    return {
        "found": int(distance.isfinite().sum()),
        "found by foolbox": int(other.isfinite().sum()),
        "ratio, median": round(float(ratio.median()), 5) if known else None,
        "ratio, smallest": round(float(ratio.min()), 4) if known else None,
        "ratio, largest": round(float(ratio.max()), 4) if known else None,
        "s an image": round(seconds / len(distance), 3),
        "s an image, foolbox": round(other_seconds / len(distance), 3),
    }


if __name__ == "__main__":
    main()
