"""Comparison of networks: does CLEVER order them as attacks do?"""

from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from pipeline.aggregate.table import Table
from pipeline.shared.stats.statistics import all_positive, binomial_interval, mean_interval
from pipeline.shared.text import printed
from pipeline.shared.text.formats import UNITS, cell_title, number, share, target_title
from pipeline.shared.text.printed import Column, Printed

KEY = ["id", "norm", "target"]
"""What a score and a distance must share across networks; their target classes may differ."""

TAU_TOLERANCE = 1e-9
"""Largest difference between rank correlations that are considered equal."""


def compare_networks(rows: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each norm, target, kind of score and network that was scored and attacked; empty for one network.

    ``kind``: the ``variant`` in ``cells``, which corresponding cells of the networks share. ``images``: the number of
    images with a positive score and a positive finite distance for all networks of the kind. ``score``, ``distance``:
    geometric means over these with their intervals. ``accuracy``: of the network's cell.
    """
    summary, accuracy = [], cells.set_index(["network", "variant"]).accuracy
    for (kind, norm, target), scores, distances in _kinds(rows, cells):
        usable = all_positive(scores) & all_positive(distances)
        for network in scores.columns if usable.any() else ():
            row = {"network": network, "kind": kind, "norm": norm, "target": target, "images": int(usable.sum())}
            row["accuracy"] = accuracy.loc[(network, kind)]
            for name, table in (("score", scores), ("distance", distances)):
                logs = np.log(table.loc[usable, network].to_numpy())
                low, high = np.exp(mean_interval(logs, seed))
                row |= {name: np.exp(logs.mean()), f"{name}_low": low, f"{name}_high": high}
            summary.append(row)
    return pd.DataFrame(summary)


def agreement(rows: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each norm, target and kind of score (`compare_networks`).

    ``by_score``, ``by_attack``: the networks from least to most robust, by the geometric mean of scores and of
    distances. ``tau``: Kendall's rank correlation (tau-b) between the networks' scores and distances, computed per
    image and averaged over ``images``, with its bootstrap interval; images with equal scores are left out. If tau is
    the same for all images, the bootstrap has no spread, so there is no interval; ``same``, the share of images with
    tau 1, has an exact binomial interval instead. ``tau_within``: tau-b between the images' scores and distances within
    one network, averaged over the networks.
    """
    table = []
    for (kind, norm, target), scores, distances in _kinds(rows, cells):
        usable = all_positive(scores) & all_positive(distances)
        if not usable.any():
            continue
        taus = np.array([_tau(scores.loc[image], distances.loc[image]) for image in scores.index])
        taus = taus[~np.isnan(taus)]
        low, high = mean_interval(taus, seed) if len(taus) and np.ptp(taus) > TAU_TOLERANCE else (np.nan, np.nan)
        same = int((taus > 1 - TAU_TOLERANCE).sum())
        same_low, same_high = binomial_interval(same, len(taus))
        table.append(
            {
                "kind": kind,
                "norm": norm,
                "target": target,
                "by_score": _order(scores[usable]),
                "by_attack": _order(distances[usable]),
                "images": len(taus),
                "tau": taus.mean() if len(taus) else np.nan,
                "tau_low": low,
                "tau_high": high,
                "same": same / len(taus) if len(taus) else np.nan,
                "same_low": same_low,
                "same_high": same_high,
                "tau_within": pd.Series([_tau(scores[name], distances[name]) for name in scores]).mean(),
            }
        )
    return pd.DataFrame(table)


def _kinds(rows: pd.DataFrame, cells: pd.DataFrame) -> list[tuple[tuple[str, str, str], pd.DataFrame, pd.DataFrame]]:
    """For each kind, norm and target with several networks: scores and distances, as tables (image, network)."""
    variants = cells.set_index("cell").variant
    attacked = rows[rows.distance.notna()].assign(kind=lambda table: table.cell.map(variants))
    kinds = []
    for kind, norm, target in product(*(attacked[column].unique() for column in ("kind", "norm", "target"))):
        part = attacked[(attacked.kind == kind) & (attacked.norm == norm) & (attacked.target == target)]
        scores, distances = (
            part.pivot_table(index="id", columns="network", values=column, sort=False).dropna()
            for column in ("score", "distance")
        )
        if scores.shape[1] > 1 and len(scores):
            kinds.append(((kind, norm, target), scores, distances.loc[scores.index]))
    return kinds


def _order(table: pd.DataFrame) -> str:
    """The networks in increasing order of their geometric mean."""
    return " < ".join(np.log(table).mean().sort_values(kind="stable").index)


def _tau(scores: "pd.Series[float]", distances: "pd.Series[float]") -> float:
    """Kendall's tau-b; NaN if either series is constant."""
    if min(scores.nunique(), distances.nunique()) < 2:
        return np.nan
    return float(kendalltau(scores.to_numpy(), distances.to_numpy()).statistic)


TABLE = Table(
    "networks",
    lambda data: compare_networks(data.tables["scores"], data.cells, data.seed),
    optional=True,
    printed=Printed(
        f"Comparison of networks, geometric means, {UNITS}",
        (
            Column("network", "network", cell_title),
            Column("accuracy", "accuracy", "{:.1%}".format),
            Column("score", "kind", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            printed.interval("CLEVER", "score"),
            printed.interval("smallest distance", "distance"),
            Column("images", "images"),
        ),
    ),
)
AGREEMENT = Table(
    "agreement",
    lambda data: agreement(data.tables["scores"], data.cells, data.seed),
    optional=True,
    printed=Printed(
        "Order of the networks by CLEVER and by attacks; Kendall's tau per image, without an interval if all images "
        "have the same tau",
        (
            Column("score", "kind", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("by CLEVER", "by_score", cell_title),
            Column("by attacks", "by_attack", cell_title),
            printed.interval("Kendall's tau", "tau"),
            Column("same order", ("same", "same_low", "same_high"), share),
            Column("images", "images"),
            Column("tau within a network", "tau_within", number),
        ),
    ),
)
