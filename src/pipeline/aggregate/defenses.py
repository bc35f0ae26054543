"""What each defense of an experiment with random ones gives and costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.aggregate.table import Table
from pipeline.shared.text import printed
from pipeline.shared.text.formats import UNITS, cell_title, number, percentage, target_title
from pipeline.shared.text.printed import Column, Printed

SAME = ["cell", "norm", "target"]
OF_SUMMARY = ["mean", "ratio", "ratio_low", "ratio_high", "pairs"]
OF_BOUNDS = ["distance", "found", "rate", "rate_unseen"]


def gains_and_costs(
    summary: pd.DataFrame, bounds: pd.DataFrame, cells: pd.DataFrame, gradients: dict[str, float]
) -> pd.DataFrame:
    """One row for each cell, norm and target; empty where no attack has rates, since no defense is random.

    ``accuracy``, that of `summary`, that of `bounds`, and ``gradient``: milliseconds of one on this machine, all draws
    of a mean included, by cell in ``gradients``.
    """
    if "rate" not in bounds:
        return pd.DataFrame()
    known = summary[[*SAME, *OF_SUMMARY]].merge(bounds[[*SAME, *OF_BOUNDS]], on=SAME, how="left")
    of_cell = cells.set_index("cell")
    known.insert(1, "accuracy", known.cell.map(of_cell.accuracy))
    return known.assign(gradient=known.cell.map(lambda cell: gradients.get(cell, np.nan)))


def _gradient_times(runs: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Milliseconds of one gradient, by all runs that sampled for the cell; NaN where none was timed."""
    taken = {cell: run["of_all_runs"] for cell, run in runs.items()}
    return {cell: 1000 * of["sampling"] / of["work"] if "sampling" in of else np.nan for cell, of in taken.items()}


TABLE = Table(
    "defenses",
    lambda data: gains_and_costs(data.tables["summary"], data.tables["bounds"], data.cells, _gradient_times(data.runs)),
    optional=True,
    printed=Printed(
        f"What each defense gives and costs, {UNITS}",
        (
            Column("cell", "cell", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("right on", "accuracy", "{:.1%}".format),
            Column("CLEVER", "mean", number),
            printed.interval("ratio", "ratio"),
            Column("pairs", "pairs"),
            Column("smallest distance", "distance", number),
            Column("attack found", "found", percentage),
            Column("rate", "rate", percentage),
            Column("rate, unseen draws", "rate_unseen", percentage),
            Column("ms a gradient", "gradient", number),
        ),
    ),
)
