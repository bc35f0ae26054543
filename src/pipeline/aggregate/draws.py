"""Scores of a randomized network as a function of the number of draws, for their mean and for the worst draw."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.aggregate.table import Table
from pipeline.shared.text.described import describe_defense
from pipeline.shared.text.formats import UNITS, cell_title, number, target_title
from pipeline.shared.text.printed import Column, Printed

SETTINGS = ("draws", "first")
"""Settings of a defense that averages over draws: their number, and the index of the first one."""
COLUMNS = ["network", "defense", "norm", "target", "way", "draws", "sets", "images", "mean", "spread", "low", "high"]


def scores_by_draws(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, defense, norm, target, ``way`` and number of ``draws``; empty without random defenses.

    ``way``: ``expectation``, the score of the mean over that many draws; ``worst``, the smallest score of that many
    single draws, in powers of two. There are ``sets`` disjoint sets of draws. ``mean``: over ``images`` and sets;
    ``spread``: the standard deviation of the sets' means over images, NaN for one set; ``low`` and ``high``: the
    smallest and the largest of these means. An image that a set's classifier misclassifies has the score 0.
    """
    table = []
    for (network, defense), group in _random_cells(cells):
        part = rows[rows.cell.isin(group.cell)]
        for (norm, target), scored in part.groupby(["norm", "target"], sort=False):
            by_cell = scored.pivot_table(index="id", columns="cell", values="score").fillna(0.0)
            for way, draws, sets in _sets(by_cell.reindex(columns=group.cell, fill_value=0.0), group):
                means = sets.mean(axis=1)
                spread = means.std(ddof=1) if len(means) > 1 else np.nan
                key = (network, defense, norm, target, way, draws, len(means), sets.shape[1])
                table.append((*key, means.mean(), spread, means.min(), means.max()))
    return pd.DataFrame(table, columns=COLUMNS)


def _random_cells(cells: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """For each network and random defense, its cells that differ only in their draws, if there are several."""
    defenses = cells.defense.map(json.loads)
    draws = {name: defenses.map(lambda defense, name=name: defense.get(name)) for name in SETTINGS}
    rest = defenses.map(lambda defense: json.dumps({key: defense[key] for key in defense if key not in SETTINGS}))
    random = cells.assign(**draws, rest=rest)
    random = random[random.draws.notna() & random["first"].notna()]
    for (network, settings), group in random.groupby(["network", "rest"], sort=False):
        if len(group) > 1:
            defense = json.loads(str(settings))
            yield (
                (str(network), describe_defense(defense.get("transformation", defense))),
                group.sort_values(["draws", "first"]),
            )


def _sets(scores: pd.DataFrame, cells: pd.DataFrame) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
    """The way, the number of draws, and the scores as an array (set, image)."""
    for size in sorted({int(draws) for draws in cells.draws}):
        same_size, end, chosen = cells[cells.draws == size], 0, []
        for cell, first in zip(same_size.cell, same_size["first"], strict=True):
            if first >= end:  # sets must not share draws, or they would be correlated
                chosen.append(cell)
                end = first + size
        sets = scores[chosen].to_numpy().T
        yield "expectation", size, sets
        if size == 1:
            worst = [2**power for power in range(len(sets).bit_length())]
            for count in worst:
                groups = sets[: len(sets) // count * count].reshape(-1, count, sets.shape[1])
                yield "worst", count, groups.min(axis=1)


TABLE = Table(
    "draws",
    lambda data: scores_by_draws(data.tables["scores"], data.cells),
    optional=True,
    printed=Printed(
        f"Scores by the number of draws, {UNITS}",
        (
            Column("network", "network", cell_title),
            Column("defense", "defense", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("score", "way", {"expectation": "mean over draws", "worst": "worst single draw"}.__getitem__),
            Column("draws", "draws"),
            Column("mean", "mean", number),
            Column("spread", "spread", number),
            Column("smallest", "low", number),
            Column("largest", "high", number),
            Column("sets of draws", "sets"),
            Column("images", "images"),
        ),
    ),
)
