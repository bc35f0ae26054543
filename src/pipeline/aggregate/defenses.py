"""What each defense of an experiment with random ones gives and costs."""

import numpy as np
import pandas as pd

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
