"""Distances taken over from another experiment that attacked the same network behind the same defense."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from clever.errors import InputError
from pipeline.shared.app import artifacts

SAME = ("network", "defense", "bpda", "backward")
"""What the scores of both cells must agree on, beside the weights' hash."""


def taken(
    other: Path, scores: Path, cell: str, targets: Sequence[str], norms: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of distances of a cell, and what its run.json tells, from those of the ``other`` experiment's folder.

    ``scores``: the folder of the cell's scores. Taken is the first cell there whose scores are of the same network,
    weights and defense, by the run.json of both; its rows of these images, targets and norms. `InputError` where there
    is none, for a target or a norm that it has not attacked, and for an image or target class that it has not, or that
    is another one of that name.
    """
    own = _told(scores)
    source = _source(other, own)
    distances, wanted = _table(source / "distances.csv"), _table(scores / "scores.csv")
    refused = f"attack.taken_from={other.name}: {source} has"
    for name, asked in (("target", targets), ("norm", norms)):
        there = sorted(set(distances[name]))
        if missing := [one for one in asked if one not in there]:
            raise InputError(
                f"{refused} no distance of the {name} {', '.join(missing)}: attack.{name}s can be {', '.join(there)}"
            )
    ids = dict.fromkeys(wanted.id)
    rows = distances[distances.target.isin(targets) & distances.norm.isin(norms) & distances.id.isin(ids)]
    found = set(rows[["id", "target", "norm"]].itertuples(index=False, name=None))
    if lacking := sorted({image for image, *of in product(ids, targets, norms) if (image, *of) not in found}):
        raise InputError(f"{refused} no distance of {', '.join(lacking[:5])}")
    _check_same(wanted, _table(source.parents[1] / "score" / source.name / "scores.csv"), rows, refused)
    told = artifacts.read_run_record(source, "attack") | {"cell": cell, "taken_from": str(source)}
    told["strength"] |= {"targets": list(targets), "norms": list(norms)}
    return rows.assign(cell=cell), told


def images_taken(other: str, scores: Path, attacks: Path) -> int:
    """How many images of a cell are done: all that its scores are about, if distances of that experiment are there."""
    if not ((scores / "run.json").is_file() and (attacks / "run.json").is_file()):
        return 0
    source = artifacts.read_run_record(attacks, "attack").get("taken_from")
    if source is None or Path(source).parents[1].name != other:
        return 0
    if set(_table(scores / "scores.csv").id) - set(_table(attacks / "distances.csv").id):
        return 0
    told = _told(scores)
    return sum(int(told[name]) for name in ("scored", "left_out_misclassified", "left_out_not_finite"))


def _check_same(wanted: pd.DataFrame, theirs: pd.DataFrame, rows: pd.DataFrame, refused: str) -> None:
    """By the hash of each image, which both tables of scores hold, and the class that a target stands for."""
    images = dict(zip(theirs.id, theirs.image, strict=True))
    if others := dict.fromkeys(wanted.id[wanted.id.map(images) != wanted.image]):
        raise InputError(f"{refused} other images under the names {', '.join([*others][:5])}: its data differs")
    pairs = rows.merge(wanted, on=["id", "target", "norm"], suffixes=("", "_wanted"))
    fixed = pairs[pairs.target != "untargeted"]  # which class is nearest, a score and an attack each find out
    if others := dict.fromkeys(fixed[fixed.target_class != fixed.target_class_wanted].target):
        raise InputError(
            f"{refused} other classes for the target {', '.join(others)}: its seed or sampling.random_target differs"
        )


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
    return artifacts.read_run_record(scores, "score", f" -m experiment={scores.parents[1].name}")


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"id": str, "target": str})
