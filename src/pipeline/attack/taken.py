"""Distances taken over from another experiment that attacked the same network behind the same defense."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from clever.errors import InputError
from pipeline.shared import artifacts
from pipeline.shared.selection import listed

SAME = ("network", "defense", "bpda", "backward")
"""What the scores of both cells must agree on, beside the weights' hash."""


def take(config: DictConfig) -> None:
    """Writes distances.csv and run.json of the cell from those of ``attack.taken_from``, a name of an experiment.

    Which of its cells: one whose scores are of the same network, weights and defense, by the run.json of both; the same
    images, targets and norms must have been attacked there. `InputError` where there is none.
    """
    other = Path(config.experiment_dir).with_name(str(config.attack.taken_from))
    own = _told(artifacts.scores_of(config, config.cell), f" -m experiment={Path(config.experiment_dir).name}")
    source = _source(other, own)
    distances = pd.read_csv(source / "distances.csv", dtype={"id": str, "target": str})
    asked = {name: listed(config.attack[name], f"attack.{name}") for name in ("targets", "norms")}
    kept = distances.target.isin(map(str, asked["targets"])) & distances.norm.isin(map(str, asked["norms"]))
    scores = pd.read_csv(artifacts.scores_of(config, config.cell) / "scores.csv", dtype={"id": str})
    rows = distances[kept & distances.id.isin(scores.id)].assign(cell=config.cell)
    if lacking := sorted(set(scores.id) - set(rows.id)):
        raise InputError(f"attack.taken_from={other.name}: {source} has no distance of {', '.join(lacking[:5])}")
    told = json.loads((source / "run.json").read_text()) | {"cell": config.cell, "taken_from": str(source)}
    told["strength"]["targets"], told["strength"]["norms"] = asked["targets"], asked["norms"]
    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "distances.csv", rows.to_csv(index=False))
    artifacts.write_json(folder / "run.json", told)
    print(f"{config.cell}: {len(rows)} distances from {source}; {folder}/distances.csv")


def _source(other: Path, own: dict[str, Any]) -> Path:
    """The folder of the attacks of a cell of the ``other`` experiment that is of the same classifier."""
    for scores in sorted((other / "score").glob("*")):
        told, attacks = _told(scores), other / "attack" / scores.name
        same = all(told[name] == own[name] for name in SAME) and told["weights"]["sha256"] == own["weights"]["sha256"]
        if same and (attacks / "run.json").is_file():
            return attacks
    raise InputError(
        f"attack.taken_from={other.name}: no cell of {other} has attacked {own['network']} with these weights behind "
        f"{OmegaConf.to_yaml(OmegaConf.create(own['defense'])).strip()!r}; null attacks here"
    )


def _told(folder: Path, how: str = "") -> dict[str, Any]:
    path = artifacts.needed(folder / "run.json", "score", how)
    told: dict[str, Any] = json.loads(path.read_text())
    return told
