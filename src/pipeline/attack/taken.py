"""Distances taken over from another experiment that attacked the same network behind the same defense."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clever.errors import InputError
from pipeline.shared import artifacts

SAME = ("network", "defense", "bpda", "backward")
"""What the scores of both cells must agree on, beside the weights' hash."""


def taken(
    other: Path, scores: Path, cell: str, targets: Sequence[str], norms: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of distances of a cell, and what its run.json tells, from those of the ``other`` experiment's folder.

    ``scores``: the folder of the cell's scores. Taken is the first cell there whose scores are of the same network,
    weights and defense, by the run.json of both; its rows of these images, targets and norms. `InputError` where there
    is none, and for an image that it has not attacked.
    """
    own = _told(scores)
    source = _source(other, own)
    distances = pd.read_csv(source / "distances.csv", dtype={"id": str, "target": str})
    ids = pd.read_csv(scores / "scores.csv", dtype={"id": str}).id
    asked = distances.target.isin(targets) & distances.norm.isin(norms)
    rows = distances[asked & distances.id.isin(ids)].assign(cell=cell)
    if lacking := sorted(set(ids) - set(rows.id)):
        raise InputError(f"attack.taken_from={other.name}: {source} has no distance of {', '.join(lacking[:5])}")
    told = artifacts.told(source, "attack") | {"cell": cell, "taken_from": str(source)}
    told["strength"] |= {"targets": list(targets), "norms": list(norms)}
    return rows, told


def _source(other: Path, own: dict[str, Any]) -> Path:
    """The folder of the attacks of a cell of the ``other`` experiment that is of the same classifier."""
    for scores in sorted((other / "score").glob("*")):
        told, attacks = _told(scores), other / "attack" / scores.name
        same = all(told[name] == own[name] for name in SAME) and told["weights"]["sha256"] == own["weights"]["sha256"]
        if same and (attacks / "run.json").is_file():
            return attacks
    raise InputError(
        f"attack.taken_from={other.name}: no cell of {other} has attacked {own['network']} with these weights behind "
        f"{own['defense']}; null attacks here"
    )


def _told(scores: Path) -> dict[str, Any]:
    return artifacts.told(scores, "score", f" -m experiment={scores.parents[1].name}")
