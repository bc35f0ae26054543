"""The second order beside the first: the same network, defense, image, target class and points."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import PAIR_KEYS
from pipeline.shared.stats.statistics import log_ratio, mean_interval
from pipeline.shared.text import printed
from pipeline.shared.text.formats import UNITS, cell_title, number, target_title
from pipeline.shared.text.printed import Column, Printed

SAME = ["network", "norm", "target"]


def pairs(scores: pd.DataFrame, cells: pd.DataFrame, sampling: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row for every score of second order that has one of first order with it, ``first`` and ``second`` its scores.

    A cell of second order is compared with the first cell of first order that has its network, defense, BPDA and
    settings of ``sampling``, those of each cell. Empty where there is none.
    """
    found = []
    firsts = cells[cells.order == "first_order"]
    for cell in cells[cells.order == "second_order"].itertuples():
        of = firsts[(firsts.network == cell.network) & (firsts.defense == cell.defense) & (firsts.bpda == cell.bpda)]
        of = of[[sampling[name] == sampling[str(cell.cell)] for name in of.cell]]
        if of.empty:
            continue
        first = scores[scores.cell == of.cell.iloc[0]].set_index(PAIR_KEYS)
        second = scores[scores.cell == cell.cell].set_index(PAIR_KEYS)
        found.append(second.rename(columns={"score": "second"}).join(first.score.rename("first"), how="inner"))
    return pd.concat(found).reset_index() if found else scores.head(0).rename(columns={"score": "second"})


def compare(both: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each cell of second order, norm and target.

    ``first``, ``second``: mean scores. ``gain``: the geometric mean of second over first with its bootstrap interval.
    ``share_larger``: of the scores where the second order is the larger one. ``products``: Hessian-vector products a
    point. ``unconverged``: share of points whose eigenvalue had not converged.
    """
    rows = []
    for (cell, network, norm, target), group in both.groupby(["cell", *SAME], sort=False) if len(both) else ():
        ratios = log_ratio(group.second, group["first"])
        ratios = ratios[~np.isnan(ratios)]
        low, high = np.exp(mean_interval(ratios, seed))
        rows.append(
            {
                "cell": cell,
                "network": network,
                "norm": norm,
                "target": target,
                "images": len(group),
                "first": group["first"].mean(),
                "second": group.second.mean(),
                "gain": np.exp(ratios.mean()) if len(ratios) else np.nan,
                "gain_low": low,
                "gain_high": high,
                "share_larger": (group.second > group["first"]).mean(),
                "share_capped": group.capped.mean(),
                "products": group["products"].mean(),
                "unconverged": group.unconverged.mean(),
            }
        )
    columns = ["cell", *SAME, "images", "first", "second", "gain", "gain_low", "gain_high", "share_larger"]
    return pd.DataFrame(rows, columns=[*columns, "share_capped", "products", "unconverged"])


PAIRS = Table(
    "order_pairs",
    lambda data: pairs(data.scores, data.cells, {cell: data.runs[cell]["sampling"] for cell in data.cells.cell}),
    digits=None,
)
TABLE = Table(
    "orders",
    lambda data: compare(data.tables["order_pairs"], data.seed),
    printed=Printed(
        f"First and second order, {UNITS}",
        (
            Column("cell", "cell", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("first order", "first", number),
            Column("second order", "second", number),
            printed.interval("gain", "gain"),
            Column("second larger", "share_larger", "{:.0%}".format),
            Column("second capped", "share_capped", "{:.0%}".format),
            Column("products a point", "products", number),
            Column("not converged", "unconverged", "{:.1%}".format),
            Column("images", "images"),
        ),
    ),
)
