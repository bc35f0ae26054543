"""The spread of scores and ratios between trainings of one network, compared with the spread between images."""

import math

import numpy as np
import pandas as pd

from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import add_log_ratios
from pipeline.shared.stats.statistics import all_positive, mean_interval
from pipeline.shared.stats.verdicts import EQUIVALENCE_LEVEL
from pipeline.shared.text.formats import cell_title, number, number_or_empty, number_range, percentage, target_title
from pipeline.shared.text.printed import Column, Printed

RESAMPLED = {"images": ["images"], "networks": ["networks"], "both": ["networks", "images"]}
"""The units that the bootstrap of each interval resamples; all other units stay fixed."""


def spread(scores: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each family of several networks, kind of cell, norm and target; empty without such a family.

    ``family``: trainings of one network that differ in their seed; ``kind``: the ``variant`` in ``cells``, which
    corresponding cells share. Over the ``images`` with a positive finite score for all ``networks``: ``score``, the
    geometric mean; ``between_networks``, the standard deviation of an image's log score over the networks (root mean
    square over images), and ``between_images``, that of a network over the images (root mean square over networks).
    ``capped``: share of scores at the radius. ``ratio``: geometric mean ratio to the same network's baseline over all
    ``pairs``, with the 90 % intervals of `RESAMPLED`; NaN for the baseline itself.
    """
    table = []
    compared = cells[cells.baseline.notna() & (cells.baseline != cells.cell)]
    paired = add_log_ratios(scores, dict(zip(compared.cell, compared.baseline, strict=True)))
    for (family, kind), same_kind in cells.groupby(["family", "variant"], sort=False):
        rows = paired[paired.cell.isin(same_kind.cell)]
        for (norm, target), group in rows.groupby(["norm", "target"], sort=False) if len(same_kind) > 1 else ():
            key = {"family": family, "kind": kind, "norm": norm, "target": target}
            table.append(key | _scores(group) | _ratio(group, seed))
    return pd.DataFrame(table)


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
    pairs = rows[rows.log_ratio.notna()]
    units = {"images": pairs.id, "networks": pairs.network}
    columns = {"ratio": np.exp(pairs.log_ratio.mean()), "pairs": len(pairs)}
    for name, resampled in RESAMPLED.items():
        ends = mean_interval(
            pairs.log_ratio, seed, level=EQUIVALENCE_LEVEL, **{unit: units[unit] for unit in resampled}
        )
        columns |= dict(zip((f"{name}_low", f"{name}_high"), np.exp(ends), strict=True))
    return columns


def _ends(label: str, source: str) -> Column:
    return Column(label, (f"{source}_low", f"{source}_high"), number_range)


TABLE = Table(
    "spread",
    lambda data: spread(data.scores, data.cells, data.seed),
    optional=True,
    printed=Printed(
        "Spread between trainings of one network, and between images: standard deviations of log scores, and the ratio "
        "to the baseline with 90 % bootstrap intervals that resample images, trainings, or both",
        (
            Column("network", "family", cell_title),
            Column("trainings", "networks"),
            Column("cell", "kind", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("CLEVER", "score", number),
            Column("spread between trainings", "between_networks", number),
            Column("spread between images", "between_images", number),
            Column("capped", "capped", percentage),
            Column("images", "images"),
            Column("ratio", "ratio", number_or_empty),
            _ends("images resampled", "images"),
            _ends("trainings resampled", "networks"),
            _ends("both", "both"),
            Column("pairs", ("pairs", "ratio"), lambda pairs, ratio: "" if np.isnan(ratio) else str(pairs)),
        ),
    ),
)
