"""Each kind of score behind each defense: how often the nearest attack refutes it, how tight it is, what it costs."""

import pandas as pd

from pipeline.aggregate import cost
from pipeline.aggregate.refuted import refuted
from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import with_nearest_distances
from pipeline.shared.text.formats import cell_title, number, shares
from pipeline.shared.text.printed import Column, Printed

BY = ["network", "defense", "norm"]


def evidence(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, defense, norm and cell that was attacked, ``kind`` the kind of its scores.

    ``rows``: scores with their distances (`upper_bounds.beside`); ``cells``: as for `with_nearest_distances`, which
    judges every score. The unit is the image: ``count_above`` counts those with a score above for any target,
    ``share_above`` has its exact binomial interval. ``median_ratio``: of score over distance, over targets and
    images at a positive and finite distance; ``at_zero``: images at distance 0. ``gradients``: of a score, in the mean.
    """
    known = with_nearest_distances(rows, cells)
    known = known.assign(gradients=cost.gradients(known))
    found = []
    for (network, _, norm, cell), group in known.groupby([*BY, "cell"], sort=False):
        about = {"network": network, "defense": group.transformation.iloc[0], "norm": norm, "kind": group.kind.iloc[0]}
        at_zero = int((group.distance == 0).groupby(group.id).any().sum())
        found.append(
            about | {"cell": cell} | refuted(group) | {"at_zero": at_zero, "gradients": group.gradients.mean()}
        )
    return pd.DataFrame(found)


def _score_names(table: pd.DataFrame) -> pd.DataFrame:
    """With ``score``: the kind of each, or its cell where several cells are of one kind."""
    several = table.duplicated(["network", "defense", "norm", "kind"], keep=False)
    return table.assign(score=table.kind.where(~several, table.cell))


TABLE = Table(
    "evidence",
    lambda data: evidence(data.tables["scores"], data.cells[data.cells.bpda]),
    printed=Printed(
        "What each kind of score is worth: how often the strongest attack refutes it, how tight it is, what it costs",
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
            Column("gradients a score", "gradients", "{:.0f}".format),
        ),
        prepare=_score_names,
    ),
)
