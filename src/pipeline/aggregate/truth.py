"""Scores, attacks and certificates beside the exact distance, where an experiment has one (``attack.exact``)."""

import pandas as pd

from pipeline.aggregate.calibration import COLUMNS, values
from pipeline.aggregate.upper_bounds import KEY
from pipeline.shared.methods import ATTACK, CERTIFICATE


def beside_truth(scores: pd.DataFrame, exact: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """`pipeline.aggregate.calibration.values` with the exact distance in the place of the attack's, where it is known.

    Below them, at the first cell, the closed certificate, one gradient and an eigenvalue, and the attack's distance.
    """
    known = scores.merge(
        exact[[*KEY, "exact"]].rename(columns={"exact": "distance"}), on=KEY, how="inner", validate="one_to_one"
    )
    first = exact[exact.cell.isin(cells.drop_duplicates("network").cell) & exact.exact.notna()]
    others = [
        first.assign(method=method, value=first[column], gradients=gradients, capped=False)
        for method, column, gradients in ((CERTIFICATE, CERTIFICATE, 1.0), (ATTACK, "distance", float("nan")))
    ]
    networks = cells.set_index("cell").network
    ends = [rows.assign(network=rows.cell.map(networks), distance=rows.exact)[COLUMNS] for rows in others]
    return pd.concat([values(known, cells), *ends], ignore_index=True)


def answered(exact: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """For each network and target how many images have an exact answer, and its median and range."""
    networks = cells.drop_duplicates("network").set_index("cell").network
    first = exact[exact.cell.isin(networks.index)]
    grouped = first.groupby([first.cell.map(networks).rename("network"), "target"], sort=False)
    return grouped.exact.agg(images="size", exact="count", median="median", least="min", most="max").reset_index()
