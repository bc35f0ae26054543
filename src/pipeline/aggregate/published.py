"""Comparison of published averages with ours, relative to the spread of trainings that differ in their seed."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from clever.errors import InputError
from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.aggregate.given_table import given_table
from pipeline.aggregate.table import Table
from pipeline.shared.stats.statistics import LEVEL
from pipeline.shared.text.described import is_undefended

QUANTITIES = {"clever": "score", "cw": "distance"}
"""Published quantities and our columns for them: CLEVER, and the distance of an attack."""
ATTACK = "carlini_wagner"
"""The method of the published attack; distances of other attacks are not compared with it."""


def read(path: str) -> pd.DataFrame:
    """Published averages over ``images`` images, one row per network, norm and target.

    ``network``: our network's name without its seed (mnist_mlp for mnist_mlp_0 and mnist_mlp_1), or a cell's name
    (jpeg). ``cw`` and ``images`` may be missing. `InputError` for a missing or invalid file, and for a number that is
    not positive.
    """
    numbers = [*QUANTITIES, "images"]
    table = given_table("published", path, ["network", "norm", "target"], numbers, optional=["cw", "images"])
    for name in numbers:
        if not (wrong := table[name][table[name] <= 0]).empty:
            raise InputError(f"published={path}: {name} is {wrong.iloc[0]:g}, but must be positive")
    return table


def compare_file(path: str, rows: pd.DataFrame, networks: Mapping[str, str]) -> pd.DataFrame:
    """`compare` for the file and our scores; prints the names in the file that this experiment does not have.

    ``rows``: the scores of all cells with their ``distance``, NaN if there is none to compare. ``networks``: for the
    cell that represents a network, the network's name without its seed. `InputError` if the experiment has none of the
    names.
    """
    table = read(path)
    ours = rows.assign(base_network=rows.cell.map(networks))
    named = ours[ours.cell.isin(table.network) & ~ours.cell.isin(networks.values())]
    both = pd.concat([ours[ours.base_network.notna()], named.assign(network=named.cell, base_network=named.cell)])
    compared = compare(both, table)
    lacking = [name for name in table.network.unique() if name not in set(both.base_network)]
    if compared.empty:
        available = ", ".join(dict.fromkeys([*networks.values(), *rows.cell]))
        raise InputError(
            f"published={path}: this experiment has no scores for {', '.join(lacking) or 'its rows'}, "
            f"only for {available}"
        )
    if lacking:
        print(f"published={path}: left out {', '.join(lacking)}, which this experiment does not have")
    return compared


def compare(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """One row for each published number for which we have at least one training.

    ``rows``: scores of one cell per network, with ``base_network``, its name in the table, and ``distance``, NaN if
    there is none to compare. ``seeds``: the number of trainings; ``mean``, ``low`` and ``high``: over these, of their
    averages over images (for distances, over images with an adversarial image). ``outside``: how far the published
    number lies above their range (positive) or below it (negative), 0 within it; ``verdict``: the same in words; for a
    single training, relative to its mean. ``expected_low``, ``expected_high``: the `prediction_interval` for the
    published number if its training and its images are drawn from the same distributions as ours.
    """
    compared = []
    for row in table.to_dict("records"):
        same = rows[(rows.base_network == row["network"]) & (rows.norm == row["norm"]) & (rows.target == row["target"])]
        for quantity, column in QUANTITIES.items():
            published = row[quantity]
            finite = same[np.isfinite(same[column])]
            values = finite.groupby("network")[column].mean()
            if values.empty or np.isnan(published):
                continue
            low, high = float(values.min()), float(values.max())
            outside = published - min(max(published, low), high)
            by_image = finite.pivot_table(index="id", columns="network", values=column).to_numpy()
            expected = prediction_interval(by_image, row["images"])
            compared.append(
                {
                    "network": row["network"],
                    "norm": row["norm"],
                    "target": row["target"],
                    "quantity": quantity,
                    "published": published,
                    "seeds": len(values),
                    "mean": float(values.mean()),
                    "low": low,
                    "high": high,
                    "outside": outside,
                    "verdict": _verdict(outside, low, high, len(values)),
                    "expected_low": expected[0],
                    "expected_high": expected[1],
                }
            )
    return pd.DataFrame(compared)


def prediction_interval(values: NDArray[np.float64], others: float) -> tuple[float, float]:
    """The 95 % prediction interval for the average of one more training over ``others`` other images, by Student's t.

    ``values``: (image, training), NaN if missing. With k trainings whose averages have variance v, and N images whose
    averages over trainings have variance w, the average over M other images differs from ours with variance
    v (1 + 1/k) + w (1/N + 1/M), and degrees of freedom by Welch and Satterthwaite. NaN for a single training or a
    single image.
    """
    images, trainings = values.shape
    if trainings < 2 or images < 2:
        return np.nan, np.nan
    means = np.nanmean(values, axis=0)
    by_training = means.var(ddof=1) * (1 + 1 / trainings)
    by_image = np.nanmean(values, axis=1).var(ddof=1) * (1 / images + 1 / others)
    if by_training + by_image == 0:
        return float(means.mean()), float(means.mean())
    freedom = (by_training + by_image) ** 2 / (by_training**2 / (trainings - 1) + by_image**2 / (images - 1))
    half_width = t.ppf(0.5 + LEVEL / 2, freedom) * np.sqrt(by_training + by_image)
    return float(means.mean() - half_width), float(means.mean() + half_width)


def _verdict(outside: float, low: float, high: float, seeds: int) -> str:
    if outside == 0:
        return "within the range"
    nearest, side = (high, "above") if outside > 0 else (low, "below")
    return f"{abs(outside) / nearest:.0%} {side} {'the range' if seeds > 1 else 'the one training'}"


def base_networks(cells: pd.DataFrame) -> dict[str, str]:
    """For each network the cell that a published table means by the network's name: undefended, first order, no path.

    `InputError` if a network has several such cells.
    """
    chosen = cells[(cells.order == "first_order") & cells.bpda & ~cells.path.astype(bool)]
    chosen = chosen[chosen.defense.map(json.loads).map(is_undefended).astype(bool)]
    if several := list(chosen.network[chosen.network.duplicated()]):
        raise InputError(
            f"published: the network {several[0]} has several undefended first-order cells without a path, "
            f"{', '.join(chosen.cell[chosen.network == several[0]])}: keep only one of them, or set published=null"
        )
    return dict(zip(chosen.cell, chosen.base_network, strict=True))


def _build(data: ExperimentData) -> pd.DataFrame:
    rows = data.tables["scores"]
    same_attack = rows.cell.map({cell: attack["strength"]["method"] for cell, attack in data.attacks.items()}) == ATTACK
    ours = rows.assign(distance=rows.distance.where(same_attack))
    return compare_file(str(data.published), ours, base_networks(data.cells))


TABLE = Table("published", _build, lambda data: data.published is not None)
