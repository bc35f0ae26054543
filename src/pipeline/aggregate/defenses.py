"""Robustness and cost of each defense, for experiments with random defenses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.aggregate.table import Table
from pipeline.shared.text import printed
from pipeline.shared.text.formats import UNITS, cell_title, number, percentage, target_title
from pipeline.shared.text.printed import Column, Printed

MERGE_KEYS = ["cell", "norm", "target"]
SUMMARY_COLUMNS = ["mean", "ratio", "ratio_low", "ratio_high", "pairs"]
BOUNDS_COLUMNS = ["distance", "found", "rate", "rate_unseen"]


def summarise_defenses(
    summary: pd.DataFrame, bounds: pd.DataFrame, cells: pd.DataFrame, gradients: dict[str, float]
) -> pd.DataFrame:
    """One row for each cell, norm and target; empty if no defense is random, since then no attack has success rates.

    Columns: ``accuracy``, `SUMMARY_COLUMNS`, `BOUNDS_COLUMNS`, and ``gradient``, the milliseconds per gradient on this
    machine, including all draws of a mean, from ``gradients`` by cell.
    """
    if "rate" not in bounds:
        return pd.DataFrame()
    table = summary[[*MERGE_KEYS, *SUMMARY_COLUMNS]].merge(
        bounds[[*MERGE_KEYS, *BOUNDS_COLUMNS]], on=MERGE_KEYS, how="left"
    )
    table.insert(1, "accuracy", table.cell.map(cells.set_index("cell").accuracy))
    return table.assign(gradient=table.cell.map(lambda cell: gradients.get(cell, np.nan)))


def _gradient_times(runs: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Milliseconds per gradient, over all runs that sampled for the cell; NaN if none was timed."""
    totals = {cell: run["of_all_runs"] for cell, run in runs.items()}
    return {cell: 1000 * of["sampling"] / of["work"] if "sampling" in of else np.nan for cell, of in totals.items()}


TABLE = Table(
    "defenses",
    lambda data: summarise_defenses(
        data.tables["summary"], data.tables["bounds"], data.cells, _gradient_times(data.runs)
    ),
    optional=True,
    printed=Printed(
        f"Robustness and cost of each defense, {UNITS}",
        (
            Column("cell", "cell", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("accuracy", "accuracy", "{:.1%}".format),
            Column("CLEVER", "mean", number),
            printed.interval("ratio", "ratio"),
            Column("pairs", "pairs"),
            Column("smallest distance", "distance", number),
            Column("attack succeeded", "found", percentage),
            Column("rate", "rate", percentage),
            Column("rate, unseen draws", "rate_unseen", percentage),
            Column("ms per gradient", "gradient", number),
        ),
    ),
)
