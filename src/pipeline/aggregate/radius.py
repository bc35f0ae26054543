"""Scores as a function of the radius, for cells that differ only in the radius of a norm."""

import json
from typing import Any

import numpy as np
import pandas as pd

from clever.scoring.radius import over_radius, self_consistent
from pipeline.aggregate.refuted import count_refuted
from pipeline.aggregate.table import Table

CURVE_KEYS = ["network", "defense", "kind", "norm", "id", "predicted", "target", "target_class"]
"""What scores at different radii must share to be on one curve."""


def curves(rows: pd.DataFrame, cells: pd.DataFrame, sampling: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row for each radius of each curve: ``sampled`` radius, ``score`` from the balls up to it, ``distance``.

    A curve belongs to one image, norm, target class, network, defense and kind of score, and has several radii.
    ``sampling``: the settings of each cell; cells of one curve differ only in the radius. If several settings would
    give a curve with the same keys, the first is used. First order and gauge only: a second-order score is not a
    function of L alone.
    """
    columns = [*CURVE_KEYS, "transformation", "sampled", "score", "distance"]
    chosen = cells[cells.bpda & (cells.order != "second_order")]
    scored = rows.merge(chosen[["cell", "defense", "transformation", "kind"]], on="cell")
    scored["sampled"] = [sampling[cell]["radius"][norm] for cell, norm in zip(scored.cell, scored.norm, strict=True)]
    scored["settings"] = scored.cell.map({name: _without_radius(settings) for name, settings in sampling.items()})
    parts, finished = [], set()
    for key, group in scored.groupby([*CURVE_KEYS, "settings"], sort=False):
        curve = group.drop_duplicates("sampled").sort_values("sampled")
        if len(curve) > 1 and key[:-1] not in finished:
            finished.add(key[:-1])
            scores = over_radius(curve.margin.iloc[0], curve.sampled.to_numpy(), curve.constant.to_numpy())
            parts.append(curve.assign(score=scores)[columns])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _without_radius(settings: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in settings.items() if name != "radius"}, sort_keys=True)


def radii(over: pd.DataFrame) -> pd.DataFrame:
    """One row for each radius of each network, defense, kind and norm, and one for the self-consistent radius (NaN).

    ``over``: the rows of `curves`. ``count_above``: the number of images with a score above the distance, with the
    exact binomial interval of their share; ``median_ratio`` of score over distance.
    """
    best = over.groupby(CURVE_KEYS, sort=False, as_index=False).agg(
        transformation=("transformation", "first"), score=("score", self_consistent), distance=("distance", "first")
    )
    table = []
    keys = ["network", "transformation", "kind", "norm", "sampled"]
    for part in (over, best.assign(sampled=np.nan)) if len(over) else ():
        for (network, defense, kind, norm, radius), group in part.groupby(keys, sort=False, dropna=False):
            attacked = group[group.distance.notna()]
            if attacked.empty:
                continue
            row = {"network": network, "defense": defense, "kind": kind, "norm": norm, "radius": radius}
            table.append(row | count_refuted(attacked))
    return pd.DataFrame(table)


CURVES = Table(
    "radius",
    lambda data: curves(
        data.tables["scores"], data.cells, {cell: data.runs[cell]["sampling"] for cell in data.cells.cell}
    ),
    optional=True,
)
TABLE = Table("radii", lambda data: radii(data.tables["radius"]), lambda data: len(data.tables["radius"]) > 0)
