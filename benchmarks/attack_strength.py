"""How strong an attack must be: distances on a real network as each strength doubles the one before, and their cost.

Needs a DenseNet-BC and CIFAR-10 images (benchmarks/cifar10.py). For each defense, norm
and strength: the distance of the top-2 class of each image, its change from the strength before, passes and processor
seconds an image, one thread. Example: python benchmarks/attack_strength.py --images 6
"""

import time

import torch
from cifar10 import DEFENSES, sample
from report import parser, report
from torch import Tensor
from tqdm import tqdm

import clever
from clever.models import frozen, logits_of
from pipeline.attack.attacks import smallest_distances
from pipeline.attack.strength import Strength


def change(distance: Tensor, before: Tensor | None) -> str:
    """By which share the distances differ from those of the strength before, in the median; nothing at first."""
    return "" if before is None else f"{(distance / before - 1).quantile(0.5):.1%}"


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, default=8, help="of them, those that the classifier is right on")
    described.add_argument("--defenses", nargs="+", choices=list(DEFENSES), default=list(DEFENSES))
    described.add_argument("--norms", nargs="+", default=["L2", "Linf"])
    described.add_argument(
        "--strengths", nargs="+", default=["25,1,50", "50,1,100", "100,1,200"], help="steps,starts,rounds"
    )
    options = described.parse_args()
    torch.set_num_threads(1)
    network, images, labels = sample(options.images)
    rows = []
    for name in tqdm(options.defenses):
        defense = DEFENSES[name]
        smooth = clever.Smooth(defense, jpeg_only=True) if name == "jpeg" else None
        defended = clever.Defended(network, defense, backward=smooth)
        with frozen(defended):
            ranked = logits_of(defended, images).argsort(1, descending=True)
        right = ranked[:, 0] == labels
        predicted, targets = ranked[right, :2].unbind(1)
        for norm in map(clever.Norm.named, options.norms):
            before = None
            for steps, starts, rounds in (map(int, strength.split(",")) for strength in options.strengths):
                started = time.process_time()
                strength = Strength(steps=steps, starts=starts, rounds=rounds)
                of = (defended, images[right], predicted.tolist(), targets.tolist(), norm, strength)
                found = smallest_distances(*of, seed=0)
                seconds = time.process_time() - started
                rows.append(
                    {
                        "defense": name,
                        "norm": str(norm),
                        "steps": steps,
                        "starts": starts,
                        "rounds": rounds,
                        "images": int(right.sum()),
                        "distance, median": f"{found.distance.quantile(0.5):.5f}",
                        "change of the median": change(
                            found.distance.quantile(0.5), None if before is None else before.quantile(0.5)
                        ),
                        "change, median": change(found.distance, before),
                        "forward": found.forwards,
                        "backward": found.backwards,
                        "s an image": round(seconds / int(right.sum()), 2),
                        "distances": " ".join(f"{value:.5f}" for value in found.distance.tolist()),
                    }
                )
                before = found.distance
    report(rows, options.out)


if __name__ == "__main__":
    main()
