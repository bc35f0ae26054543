"""Trainings of one network beside images: how far what is said of a defense is of one network or of few images."""

import math

import numpy as np
import pandas as pd

from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import add_log_ratios
from pipeline.shared.stats.statistics import all_positive, mean_interval
from pipeline.shared.stats.verdicts import EQUIVALENCE_LEVEL
from pipeline.shared.text.formats import cell_title, number, number_or_empty, number_range, percentage, target_title
from pipeline.shared.text.printed import Column, Printed

DRAWN = {"images": ["images"], "networks": ["networks"], "both": ["networks", "images"]}
"""The intervals by name, and what each draws again: of ``images`` alone, the networks are as they are."""


def spread(scores: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each family of several networks, kind of cell, norm and target; empty where there is no such family.

    A family (``cells.family``): trainings of one network that differ in their seed; a ``kind``: what corresponding
    cells have in common, their ``variant`` in ``cells``. Over the ``images`` of which all ``networks`` have a positive
    finite score: ``score``, the geometric mean; ``between_networks``, the standard deviation of the log score of an
    image over the networks (root mean square over images), and ``between_images``, of a network over the images;
    ``capped``: share of scores at the radius. ``ratio``: geometric mean ratio to the baseline of the same network over
    all ``pairs``, with the 90 % intervals `DRAWN`; NaN for the baseline itself.
    """
    found = []
    others = cells[cells.baseline.notna() & (cells.baseline != cells.cell)]
    paired = add_log_ratios(scores, dict(zip(others.cell, others.baseline, strict=True)))
    for (family, kind), of_kind in cells.groupby(["family", "variant"], sort=False):
        rows = paired[paired.cell.isin(of_kind.cell)]
        for (norm, target), group in rows.groupby(["norm", "target"], sort=False) if len(of_kind) > 1 else ():
            same = {"family": family, "kind": kind, "norm": norm, "target": target}
            found.append(same | _scores(group) | _ratio(group, seed))
    return pd.DataFrame(found)


def _scores(rows: pd.DataFrame) -> dict[str, float]:
    score = rows.pivot(index="id", columns="network", values="score").to_numpy(np.float64)
    logs = np.log(score[all_positive(score)])
    images, networks = logs.shape
    return {
        "networks": networks,
        "images": images,
        "score": np.exp(logs.mean()) if images else np.nan,
        "between_networks": math.sqrt(logs.var(axis=1, ddof=1).mean()) if images else np.nan,
        "between_images": math.sqrt(logs.var(axis=0, ddof=1).mean()) if images > 1 else np.nan,
        "capped": rows.capped.mean(),
    }


def _ratio(rows: pd.DataFrame, seed: int) -> dict[str, float]:
    known = rows[rows.log_ratio.notna()]
    units = {"images": known.id, "networks": known.network}
    columns = {"ratio": np.exp(known.log_ratio.mean()), "pairs": len(known)}
    for name, drawn in DRAWN.items():
        ends = mean_interval(known.log_ratio, seed, level=EQUIVALENCE_LEVEL, **{unit: units[unit] for unit in drawn})
        columns |= dict(zip((f"{name}_low", f"{name}_high"), np.exp(ends), strict=True))
    return columns


def _ends(label: str, source: str) -> Column:
    return Column(label, (f"{source}_low", f"{source}_high"), number_range)


TABLE = Table(
    "spread",
    lambda data: spread(data.scores, data.cells, data.seed),
    optional=True,
    printed=Printed(
        "Trainings of one network that differ in their seed, beside images: standard deviations of log scores, and "
        "the ratio to the baseline with 90 % intervals that draw images alone, trainings alone, and both",
        (
            Column("network", "family", cell_title),
            Column("trainings", "networks"),
            Column("cell", "kind", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("CLEVER", "score", number),
            Column("spread between trainings", "between_networks", number),
            Column("between images", "between_images", number),
            Column("capped", "capped", percentage),
            Column("images", "images"),
            Column("ratio", "ratio", number_or_empty),
            _ends("images alone", "images"),
            _ends("trainings alone", "networks"),
            _ends("both", "both"),
            Column("pairs", ("pairs", "ratio"), lambda pairs, ratio: "" if np.isnan(ratio) else str(pairs)),
        ),
    ),
)
