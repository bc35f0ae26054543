"""Scores over the radius, where cells differ in the radius of a norm and in nothing else."""

import json
from typing import Any

import numpy as np
import pandas as pd

from clever.scoring.radius import over_radius, self_consistent
from pipeline.aggregate.refuted import refuted
from pipeline.aggregate.table import Table

SAME = ["network", "defense", "kind", "norm", "id", "predicted", "target", "target_class"]
"""What scores at two radii must have in common to be of one curve."""


def curves(rows: pd.DataFrame, cells: pd.DataFrame, sampling: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row for each radius of each curve: ``sampled`` radius, ``score`` by the balls up to it, ``distance``.

    A curve is an image, norm and target class of one network, defense and kind of score, with several radii.
    ``sampling``: the settings of each cell, of which those of one curve differ in the radius alone; where several would
    make curves of one kind, the first ones do. First order and gauge: of second order there is no such formula of L
    alone.
    """
    columns = [*SAME, "transformation", "sampled", "score", "distance"]
    chosen = cells[cells.bpda & (cells.order != "second_order")]
    known = rows.merge(chosen[["cell", "defense", "transformation", "kind"]], on="cell")
    known["sampled"] = [sampling[cell]["radius"][norm] for cell, norm in zip(known.cell, known.norm, strict=True)]
    known["settings"] = known.cell.map({name: _but_radius(settings) for name, settings in sampling.items()})
    found, made = [], set()
    for key, group in known.groupby([*SAME, "settings"], sort=False):
        curve = group.drop_duplicates("sampled").sort_values("sampled")
        if len(curve) > 1 and key[:-1] not in made:
            made.add(key[:-1])
            scores = over_radius(curve.margin.iloc[0], curve.sampled.to_numpy(), curve.constant.to_numpy())
            found.append(curve.assign(score=scores)[columns])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def _but_radius(settings: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in settings.items() if name != "radius"}, sort_keys=True)


def radii(over: pd.DataFrame) -> pd.DataFrame:
    """One row for each radius of each network, defense, kind and norm, and one for the self-consistent radius (NaN).

    ``count_above``: the images with a score above the distance, with the exact binomial interval of their share;
    ``median_ratio`` of score over distance.
    """
    best = over.groupby(SAME, sort=False, as_index=False).agg(
        transformation=("transformation", "first"), score=("score", self_consistent), distance=("distance", "first")
    )
    found = []
    by = ["network", "transformation", "kind", "norm"]
    for part in (over, best.assign(sampled=np.nan)) if len(over) else ():
        for (network, defense, kind, norm, radius), group in part.groupby([*by, "sampled"], sort=False, dropna=False):
            attacked = group[group.distance.notna()]
            if attacked.empty:
                continue
            about = {"network": network, "defense": defense, "kind": kind, "norm": norm, "radius": radius}
            found.append(about | refuted(attacked))
    return pd.DataFrame(found)


CURVES = Table(
    "radius",
    lambda data: curves(
        data.tables["scores"], data.cells, {cell: data.runs[cell]["sampling"] for cell in data.cells.cell}
    ),
    optional=True,
)
TABLE = Table("radii", lambda data: radii(data.tables["radius"]), lambda data: len(data.tables["radius"]) > 0)
