"""Quality of each kind of score for each defense: how often attacks refute it, its tightness, and its cost."""

import pandas as pd

from pipeline.aggregate import cost
from pipeline.aggregate.refuted import count_refuted
from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import with_nearest_distances
from pipeline.shared.text.formats import cell_title, number, shares
from pipeline.shared.text.printed import Column, Printed

GROUP = ["network", "defense", "norm"]


def evidence(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, defense, norm and attacked cell; ``kind`` is the kind of its scores.

    ``rows``: scores with their distances (`upper_bounds.join_distances`); ``cells``: see `by_the_nearest`, whose
    distances are used. The unit is the image: ``count_above`` counts images with a score above the distance for any
    target, ``share_above`` has its exact binomial interval. ``median_ratio``: of score over distance, over targets and
    images at a positive and finite distance; ``at_zero``: images at distance 0. ``gradients``: mean cost of a score.
    """
    nearest = with_nearest_distances(rows, cells)
    nearest = nearest.assign(gradients=cost.gradients(nearest))
    table = []
    for (network, _, norm, cell), group in nearest.groupby([*GROUP, "cell"], sort=False):
        key = {"network": network, "defense": group.transformation.iloc[0], "norm": norm, "kind": group.kind.iloc[0]}
        at_zero = int((group.distance == 0).groupby(group.id).any().sum())
        table.append(
            key | {"cell": cell} | count_refuted(group) | {"at_zero": at_zero, "gradients": group.gradients.mean()}
        )
    return pd.DataFrame(table)


def _score_names(table: pd.DataFrame) -> pd.DataFrame:
    """Adds the column ``score``: the kind, or the cell if several cells have the same kind."""
    several = table.duplicated([*GROUP, "kind"], keep=False)
    return table.assign(score=table.kind.where(~several, table.cell))


TABLE = Table(
    "evidence",
    lambda data: evidence(data.tables["scores"], data.cells[data.cells.bpda]),
    printed=Printed(
        "Each kind of score: how often the strongest attack refutes it, its tightness, and its cost",
        (
            Column("network", "network", cell_title),
            Column("defense", "defense"),
            Column("norm", "norm"),
            Column("score", "score", cell_title),
            Column(
                "images above",
                ("count_above", "images", "share_above", "share_above_low", "share_above_high"),
                shares,
            ),
            Column("score / distance, median", "median_ratio", number),
            Column("at distance 0", "at_zero"),
            Column("gradients per score", "gradients", "{:.0f}".format),
        ),
        prepare=_score_names,
    ),
)
