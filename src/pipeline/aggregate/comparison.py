"""Comparison of second-order with first-order scores for the same network, defense, image, target class and points."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import PAIR_KEYS
from pipeline.shared.stats.statistics import log_ratio, mean_interval
from pipeline.shared.text import printed
from pipeline.shared.text.formats import UNITS, cell_title, number, target_title
from pipeline.shared.text.printed import Column, Printed

GROUP = ["network", "norm", "target"]


def pairs(scores: pd.DataFrame, cells: pd.DataFrame, sampling: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row for every second-order score that has a first-order counterpart: columns ``first`` and ``second``.

    A second-order cell is compared with the first first-order cell that has the same network, defense, BPDA and
    ``sampling`` settings (given by cell). Empty if there is none.
    """
    joined = []
    firsts = cells[cells.order == "first_order"]
    for cell in cells[cells.order == "second_order"].itertuples():
        same = firsts[(firsts.network == cell.network) & (firsts.defense == cell.defense) & (firsts.bpda == cell.bpda)]
        same = same[[sampling[name] == sampling[str(cell.cell)] for name in same.cell]]
        if same.empty:
            continue
        first = scores[scores.cell == same.cell.iloc[0]].set_index(PAIR_KEYS)
        second = scores[scores.cell == cell.cell].set_index(PAIR_KEYS)
        joined.append(second.rename(columns={"score": "second"}).join(first.score.rename("first"), how="inner"))
    return pd.concat(joined).reset_index() if joined else scores.head(0).rename(columns={"score": "second"})


def compare(both: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each second-order cell, norm and target.

    ``first``, ``second``: mean scores. ``gain``: the geometric mean of second over first with its bootstrap interval.
    ``share_larger``: share of scores for which second order is larger. ``products``: Hessian-vector products per point.
    ``unconverged``: share of points whose eigenvalue had not converged.
    """
    rows = []
    for (cell, network, norm, target), group in both.groupby(["cell", *GROUP], sort=False) if len(both) else ():
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
    columns = ["cell", *GROUP, "images", "first", "second", "gain", "gain_low", "gain_high", "share_larger"]
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
            Column("products per point", "products", number),
            Column("not converged", "unconverged", "{:.1%}".format),
            Column("images", "images"),
        ),
    ),
)
