"""Networks beside each other: does CLEVER order them as attacks do?"""

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
"""What all networks must have a score and a distance of: the target class may be another one for each."""

SAME = 1e-9
"""Rank correlations that are no farther apart are the same."""


def beside_each_other(rows: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each norm, target, kind of score and network that was scored and attacked; empty for one network.

    A ``kind`` is what corresponding cells of the networks have in common, their ``variant`` in ``cells``. ``images``:
    those of which all networks of the kind have a score and a finite distance, both positive. Over these, ``score`` and
    ``distance`` are geometric means with their intervals. ``accuracy``: of the network's cell.
    """
    summary, accuracy = [], cells.set_index(["network", "variant"]).accuracy
    for (kind, norm, target), scores, distances in _kinds(rows, cells):
        usable = all_positive(scores) & all_positive(distances)
        for network in scores.columns if usable.any() else ():
            of_network = {"network": network, "kind": kind, "norm": norm, "target": target, "images": int(usable.sum())}
            of_network["accuracy"] = accuracy.loc[(network, kind)]
            for name, table in (("score", scores), ("distance", distances)):
                logs = np.log(table.loc[usable, network].to_numpy())
                low, high = np.exp(mean_interval(logs, seed))
                of_network |= {name: np.exp(logs.mean()), f"{name}_low": low, f"{name}_high": high}
            summary.append(of_network)
    return pd.DataFrame(summary)


def agreement(rows: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each norm, target and kind of score (`beside_each_other`).

    ``by_score``, ``by_attack``: the networks from the least to the most robust, by the geometric mean of scores and of
    distances. ``tau``: Kendall's rank correlation (b, for ties) of the networks' scores with their distances, image by
    image, its mean over ``images`` with its interval, none where it is the same for all: images of which none differs
    do not show how rare those are that do. An image without it (all scores equal) is left out. ``same``: the share of
    the images with tau 1, with its exact binomial interval, which says how rare they may be. ``tau_within``: that of
    the images' scores with their distances, of one network at a time, its mean over the networks.
    """
    found = []
    for (kind, norm, target), scores, distances in _kinds(rows, cells):
        usable = all_positive(scores) & all_positive(distances)
        if not usable.any():
            continue
        taus = np.array([_tau(scores.loc[image], distances.loc[image]) for image in scores.index])
        taus = taus[~np.isnan(taus)]
        low, high = mean_interval(taus, seed) if len(taus) and np.ptp(taus) > SAME else (np.nan, np.nan)
        same = int((taus > 1 - SAME).sum())
        same_low, same_high = binomial_interval(same, len(taus))
        found.append(
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
    return pd.DataFrame(found)


def _kinds(rows: pd.DataFrame, cells: pd.DataFrame) -> list[tuple[tuple[str, str, str], pd.DataFrame, pd.DataFrame]]:
    """For each kind, norm and target of several networks: scores and distances, a row an image, a column a network."""
    variants = cells.set_index("cell").variant
    attacked = rows[rows.distance.notna()].assign(kind=lambda table: table.cell.map(variants))
    found = []
    for kind_, norm, target in product(*(attacked[of].unique() for of in ("kind", "norm", "target"))):
        part = attacked[(attacked.kind == kind_) & (attacked.norm == norm) & (attacked.target == target)]
        scores, distances = (
            part.pivot_table(index="id", columns="network", values=of, sort=False).dropna()
            for of in ("score", "distance")
        )
        if scores.shape[1] > 1 and len(scores):
            found.append(((kind_, norm, target), scores, distances.loc[scores.index]))
    return found


def _order(table: pd.DataFrame) -> str:
    """The networks from the least geometric mean to the largest."""
    return " < ".join(np.log(table).mean().sort_values(kind="stable").index)


def _tau(scores: "pd.Series[float]", distances: "pd.Series[float]") -> float:
    """Kendall's, b; NaN where either does not vary."""
    if min(scores.nunique(), distances.nunique()) < 2:
        return np.nan
    return float(kendalltau(scores.to_numpy(), distances.to_numpy()).statistic)


TABLE = Table(
    "networks",
    lambda data: beside_each_other(data.tables["scores"], data.cells, data.seed),
    optional=True,
    printed=Printed(
        f"Networks beside each other, geometric means, {UNITS}",
        (
            Column("network", "network", cell_title),
            Column("right on", "accuracy", "{:.1%}".format),
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
        "Order of the networks: by CLEVER, and by attacks, image by image; no interval of a tau that is the same for "
        "all images",
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
