"""Distances reused from another experiment that attacked the same network with the same defense."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from clever.errors import InputError
from pipeline.shared.app import artifacts

CLASSIFIER_KEYS = ("network", "defense", "bpda", "backward")
"""Entries of run.json that must be the same for both cells, in addition to the weights' hash."""


def take_distances(
    other: Path, scores: Path, cell: str, targets: Sequence[str], norms: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A cell's table of distances and its run record, from the folder of the ``other`` experiment.

    ``scores``: the folder of the cell's scores. The distances come from the first cell of the other experiment with
    the same network, weights and defense (by the run.json of both), for the given images, targets and norms.
    `InputError` if there is no such cell, if a target, norm or image was not attacked there, and if an image or target
    class differs from the one of the same name.
    """
    own = _score_record(scores)
    source = _source(other, own)
    distances, wanted = _table(source / "distances.csv"), _table(scores / "scores.csv")
    refused = f"attack.taken_from={other.name}: {source} has"
    for name, requested in (("target", targets), ("norm", norms)):
        available = sorted(set(distances[name]))
        if missing := [value for value in requested if value not in available]:
            raise InputError(
                f"{refused} no distance for the {name} {', '.join(missing)}: attack.{name}s can be "
                f"{', '.join(available)}"
            )
    ids = dict.fromkeys(wanted.id)
    rows = distances[distances.target.isin(targets) & distances.norm.isin(norms) & distances.id.isin(ids)]
    attacked = set(rows[["id", "target", "norm"]].itertuples(index=False, name=None))
    if lacking := sorted({key[0] for key in product(ids, targets, norms) if key not in attacked}):
        raise InputError(f"{refused} no distance for {', '.join(lacking[:5])}")
    _check_same(wanted, _table(source.parents[1] / "score" / source.name / "scores.csv"), rows, refused)
    record = artifacts.read_run_record(source, "attack") | {"cell": cell, "taken_from": str(source)}
    record["strength"] |= {"targets": list(targets), "norms": list(norms)}
    return rows.assign(cell=cell), record


def count_taken_images(other: str, scores: Path, attacks: Path) -> int:
    """The number of images with reused distances: all images of the cell's scores, or 0 if any distance is missing."""
    if not ((scores / "run.json").is_file() and (attacks / "run.json").is_file()):
        return 0
    source = artifacts.read_run_record(attacks, "attack").get("taken_from")
    if source is None or Path(source).parents[1].name != other:
        return 0
    if set(_table(scores / "scores.csv").id) - set(_table(attacks / "distances.csv").id):
        return 0
    record = _score_record(scores)
    return sum(int(record[name]) for name in ("scored", "left_out_misclassified", "left_out_not_finite"))


def _check_same(wanted: pd.DataFrame, source_scores: pd.DataFrame, rows: pd.DataFrame, refused: str) -> None:
    """Compares the hash of each image, which both tables of scores have, and the class of each target."""
    images = dict(zip(source_scores.id, source_scores.image, strict=True))
    if different := dict.fromkeys(wanted.id[wanted.id.map(images) != wanted.image]):
        raise InputError(f"{refused} different images named {', '.join([*different][:5])}: its data differs")
    pairs = rows.merge(wanted, on=["id", "target", "norm"], suffixes=("", "_wanted"))
    fixed = pairs[pairs.target != "untargeted"]  # scores and attacks each determine the nearest class themselves
    if different := dict.fromkeys(fixed[fixed.target_class != fixed.target_class_wanted].target):
        raise InputError(
            f"{refused} different classes for the target {', '.join(different)}: its seed or sampling.random_target "
            "differs"
        )


def _source(other: Path, own: dict[str, Any]) -> Path:
    """The attack folder of the first cell of the ``other`` experiment with the same classifier."""
    for scores in sorted((other / "score").glob("*")):
        record, attacks = _score_record(scores), other / "attack" / scores.name
        same = all(record[name] == own[name] for name in CLASSIFIER_KEYS)
        if same and record["weights"]["sha256"] == own["weights"]["sha256"] and (attacks / "run.json").is_file():
            return attacks
    raise InputError(
        f"attack.taken_from={other.name}: no cell of {other} has attacked {own['network']} with these weights and the "
        f"defense {own['defense']}; attack.taken_from=null runs the attacks"
    )


def _score_record(scores: Path) -> dict[str, Any]:
    return artifacts.read_run_record(scores, "score", f" -m experiment={scores.parents[1].name}")


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"id": str, "target": str})
