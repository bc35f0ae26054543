"""A published table beside ours, where several trainings of a network that differ in their seed are the yardstick."""

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
"""What is published, and our column of it: CLEVER, and the distance of an attack."""
ATTACK = "carlini_wagner"
"""The method of that attack: distances of another one do not stand beside it."""


def read(path: str) -> pd.DataFrame:
    """Published averages over so many ``images``, a row a network, norm and target, behind lines of # with the source.

    ``network`` is that of ours without the number of its seed, mnist_mlp for mnist_mlp_0 and mnist_mlp_1, or a cell's
    name: jpeg. ``cw`` and ``images`` may be missing. `InputError` for a file that is missing or is no such table, and
    for a number that is not positive.
    """
    numbers = [*QUANTITIES, "images"]
    table = given_table("published", path, ["network", "norm", "target"], numbers, optional=["cw", "images"])
    for name in numbers:
        if not (wrong := table[name][table[name] <= 0]).empty:
            raise InputError(f"published={path}: {name} is {wrong.iloc[0]:g}, which is no positive number")
    return table


def beside_ours(path: str, rows: pd.DataFrame, networks: Mapping[str, str]) -> pd.DataFrame:
    """`compare` of the file with our scores, and a line for each name in it that this experiment has nothing of.

    ``rows``: the scores of all cells with the ``distance`` beside each, NaN where there is none to compare.
    ``networks``: of the one cell that stands for a network, that network without the number of its seed.
    `InputError` where the experiment has nothing at all of the file.
    """
    table = read(path)
    ours = rows.assign(base_network=rows.cell.map(networks))
    named = ours[ours.cell.isin(table.network) & ~ours.cell.isin(networks.values())]
    both = pd.concat([ours[ours.base_network.notna()], named.assign(network=named.cell, base_network=named.cell)])
    found = compare(both, table)
    lacking = [name for name in table.network.unique() if name not in set(both.base_network)]
    if found.empty:
        there = ", ".join(dict.fromkeys([*networks.values(), *rows.cell]))
        raise InputError(f"published={path}: nothing of {', '.join(lacking) or 'it'} here, where there are {there}")
    if lacking:
        print(f"published={path}: left out are {', '.join(lacking)}, of which there is nothing here")
    return found


def compare(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row for each published number that some of our trainings stand beside.

    ``rows``: scores of one cell a network, with what the table calls it, ``base_network``, and the ``distance`` found
    beside each, NaN where there is none to compare.
    ``seeds``: how many trainings; over these ``mean``, ``low`` and ``high`` of their averages over images, for
    distances over the images that one was found for. ``outside``: how far the published number lies above the range
    (positive) or below it (negative), 0 within it; ``verdict``: the same in words, with a single training its own mean.
    ``expected_low``, ``expected_high``: `another`'s interval, where the published number lies if its training is one
    like ours and its images, which are not ours, are drawn as ours are.
    """
    found = []
    for known in table.to_dict("records"):
        same = rows[
            (rows.base_network == known["network"]) & (rows.norm == known["norm"]) & (rows.target == known["target"])
        ]
        for quantity, column in QUANTITIES.items():
            published = known[quantity]
            there = same[np.isfinite(same[column])]
            values = there.groupby("network")[column].mean()
            if values.empty or np.isnan(published):
                continue
            low, high = float(values.min()), float(values.max())
            outside = published - min(max(published, low), high)
            of_images = there.pivot_table(index="id", columns="network", values=column).to_numpy()
            expected = another(of_images, known["images"])
            found.append(
                {
                    "network": known["network"],
                    "norm": known["norm"],
                    "target": known["target"],
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
    return pd.DataFrame(found)


def another(values: NDArray[np.float64], others: float) -> tuple[float, float]:
    """The 95 % interval for the average of one more training over so many other images, by Student's t.

    ``values``: (image, training), NaN where there is none. With k trainings whose averages have the variance v, and N
    images whose averages over trainings have the variance w, that average over M images differs from ours by a number
    of the variance v (1 + 1/k) + w (1/N + 1/M), its degrees of freedom by Welch and Satterthwaite. NaN for a single
    training, which has no spread, and for a single image.
    """
    images, trainings = values.shape
    if trainings < 2 or images < 2:
        return np.nan, np.nan
    means = np.nanmean(values, axis=0)
    of_training = means.var(ddof=1) * (1 + 1 / trainings)
    of_images = np.nanmean(values, axis=1).var(ddof=1) * (1 / images + 1 / others)
    if of_training + of_images == 0:
        return float(means.mean()), float(means.mean())
    freedom = (of_training + of_images) ** 2 / (of_training**2 / (trainings - 1) + of_images**2 / (images - 1))
    reach = t.ppf(0.5 + LEVEL / 2, freedom) * np.sqrt(of_training + of_images)
    return float(means.mean() - reach), float(means.mean() + reach)


def _verdict(outside: float, low: float, high: float, seeds: int) -> str:
    if outside == 0:
        return "within the range"
    nearest, side = (high, "above") if outside > 0 else (low, "below")
    return f"{abs(outside) / nearest:.0%} {side} {'the range' if seeds > 1 else 'the one training'}"


def base_networks(cells: pd.DataFrame) -> dict[str, str]:
    """The cells that a published table speaks of by their network: undefended, of first order, by sampled gradients.

    `InputError` where a network has several such cells: which of them is to be compared is not defined.
    """
    chosen = cells[(cells.order == "first_order") & cells.bpda & ~cells.path.astype(bool)]
    chosen = chosen[chosen.defense.map(json.loads).map(is_undefended).astype(bool)]
    if several := list(chosen.network[chosen.network.duplicated()]):
        raise InputError(
            f"published: the network {several[0]} has several undefended cells of first order without a path, "
            f"{', '.join(chosen.cell[chosen.network == several[0]])}: compare one of them, or published=null"
        )
    return dict(zip(chosen.cell, chosen.base_network, strict=True))


def _build(data: ExperimentData) -> pd.DataFrame:
    rows = data.tables["scores"]
    published = rows.cell.map({cell: attack["strength"]["method"] for cell, attack in data.attacks.items()}) == ATTACK
    ours = rows.assign(distance=rows.distance.where(published))
    return beside_ours(str(data.published), ours, base_networks(data.cells))


TABLE = Table("published", _build, lambda data: data.published is not None)
