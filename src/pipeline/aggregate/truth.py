"""Scores, attacks and certificates compared with exact distances, for experiments with ``attack.exact``."""

import pandas as pd

from pipeline.aggregate import peers
from pipeline.aggregate.calibration import AT_EQUAL_TIGHTNESS, COLUMNS, calibrate, values
from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.aggregate.table import Table
from pipeline.aggregate.upper_bounds import KEY
from pipeline.shared.text.formats import UNITS, cell_title, number, target_title
from pipeline.shared.text.methods import ATTACK, CERTIFICATE, CLEVER
from pipeline.shared.text.printed import Column, Printed


def join_exact(scores: pd.DataFrame, exact: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """`pipeline.aggregate.calibration.values` with the exact distance instead of the attack's, where it is known.

    Also includes, at each network's first cell, the closed-form certificate (one gradient and an eigenvalue) and the
    attack's distance.
    """
    joined = scores.merge(
        exact[[*KEY, "exact"]].rename(columns={"exact": "distance"}), on=KEY, how="inner", validate="one_to_one"
    )
    first = exact[exact.cell.isin(cells.drop_duplicates("network").cell) & exact.exact.notna()]
    bounds = [
        first.assign(method=method, value=first[column], gradients=gradients, capped=False)
        for method, column, gradients in ((CERTIFICATE, CERTIFICATE, 1.0), (ATTACK, "distance", float("nan")))
    ]
    networks = cells.set_index("cell").network
    bounds = [rows.assign(network=rows.cell.map(networks), distance=rows.exact)[COLUMNS] for rows in bounds]
    return pd.concat([values(joined, cells), *bounds], ignore_index=True)


def count_exact(exact: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """For each network and target the number of images with an exact distance, and its median and range."""
    networks = cells.drop_duplicates("network").set_index("cell").network
    first = exact[exact.cell.isin(networks.index)]
    grouped = first.groupby([first.cell.map(networks).rename("network"), "target"], sort=False)
    return grouped.exact.agg(images="size", exact="count", median="median", least="min", most="max").reset_index()


def _with_peers(data: ExperimentData) -> pd.DataFrame:
    """All values with the exact distance, including another program's if the setting ``peers`` names them."""
    assert data.exact is not None
    ours = join_exact(data.scores, data.exact, data.cells)
    if data.peers is None:
        return ours
    weights = {run["network"]: run["weights"]["sha256"] for run in data.runs.values()}
    return pd.concat([ours, peers.join_peers(peers.read(data.peers), ours, weights)], ignore_index=True)


def _answers(data: ExperimentData) -> pd.DataFrame:
    assert data.exact is not None
    return count_exact(data.exact, data.cells)


def _has_exact(data: ExperimentData) -> bool:
    return data.exact is not None


def _estimate(cell: str, method: str) -> str:
    return cell_title(cell) if method == CLEVER else method


VALUES = Table("exact", _with_peers, _has_exact, optional=True, digits=None)
ANSWERS = Table(
    "exact_answers",
    _answers,
    _has_exact,
    optional=True,
    printed=Printed(
        f"Images with an exact L2 distance, {UNITS}",
        (
            Column("network", "network", cell_title),
            Column("target", "target", target_title),
            Column("images", "images"),
            Column("exact", ("exact", "images"), lambda exact, images: f"{exact}: {exact / images:.0%}"),
            Column("median", "median", number),
            Column("smallest", "least", number),
            Column("largest", "most", number),
        ),
    ),
)
TABLE = Table(
    "exact_summary",
    lambda data: calibrate(data.tables["exact"], data.cells, data.seed),
    _has_exact,
    optional=True,
    printed=Printed(
        "Estimate / exact L2 distance, and at equal tightness",
        (
            Column("estimate", ("cell", "method"), _estimate),
            Column("target", "target", target_title),
            Column("median ratio", "ratio", number),
            Column("5 % quantile", "ratio_5", number),
            Column("95 % quantile", "ratio_95", number),
            Column(
                "above distance",
                ("count_above", "images", "share_above_low", "share_above_high"),
                lambda count, total, low, high: f"{count:.0f} of {total:.0f} [{low:.0%}, {high:.0%}]",
            ),
            *AT_EQUAL_TIGHTNESS,
        ),
    ),
)
