"""What twice the strength of its attacks changes of an experiment: distances image by image, of two runs.

For each cell that both runs have attacked, and each norm and target: the strength of the first (steps, starts, rounds),
images, for how many each found an adversarial one, the median distance of both over the images where both did, and its
change; the median, the tenth and the least of the changes image by image; seconds an image of the second.
The second run is made by the stage attack of the same experiment in another checkout, for CIFAR-10 with
lookup.strength.jpeg.steps=200 lookup.strength.jpeg.rounds=200 and so on for each defense.
Example: python benchmarks/doubled.py --once results/cifar10_densenet --twice ../other/results/cifar10_densenet
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from report import parser, report

IMAGE = ["norm", "target", "id", "predicted", "target_class"]


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--once", type=Path, required=True, help="results/EXPERIMENT of the first run")
    described.add_argument("--twice", type=Path, required=True, help="of the second, with twice the strength")
    options = described.parse_args()
    ran = [{path.parent.name for path in run.glob("attack/*/run.json")} for run in (options.once, options.twice)]
    report(
        [
            row
            for cell in sorted(set.intersection(*ran))
            for row in compared(cell, options.once / "attack", options.twice / "attack")
        ],
        options.out,
    )


def compared(cell: str, once: Path, twice: Path) -> list[dict[str, object]]:
    """A row for each norm and target of a cell; none where the second run has not twice the steps of the first."""
    told = [json.loads((folder / cell / "run.json").read_text()) for folder in (once, twice)]
    strength, doubled = (run["strength"] for run in told)
    if doubled["steps"] != 2 * strength["steps"]:
        return []
    both = pd.merge(*(pd.read_csv(folder / cell / "distances.csv") for folder in (once, twice)), on=IMAGE)
    rows = []
    for (norm, target), group in both.groupby(["norm", "target"], sort=False):
        found = group[np.isfinite(group.distance_x) & np.isfinite(group.distance_y)]
        before, after = found.distance_x.median(), found.distance_y.median()
        changes = found.distance_y / found.distance_x - 1
        rows.append(
            {"cell": cell, "norm": norm, "target": target}
            | {name: strength[name] for name in ("steps", "starts", "rounds")}
            | {
                "images": len(group),
                "found": f"{np.isfinite(group.distance_x).sum()}, {np.isfinite(group.distance_y).sum()}",
                "distance, median": f"{before:.5f}",
                "twice": f"{after:.5f}",
                "change of the median": f"{after / before - 1:.1%}",
                "change, median": f"{changes.median():.1%}",
                "a tenth change by": f"{changes.quantile(0.1):.1%} or less",
                "least": f"{changes.min():.1%}",
                "s an image": round(told[1]["of_all_runs"]["seconds"] / group.id.nunique(), 1),
            }
        )
    return rows


if __name__ == "__main__":
    main()
