"""Scores of a random network by how many draws they average over, or are the worst of."""

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
"""Of a defense that is a mean over draws: how many, and from which one on."""
COLUMNS = ["network", "defense", "norm", "target", "way", "draws", "sets", "images", "mean", "spread", "low", "high"]


def against_draws(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, defense, norm, target, ``way`` and number of ``draws``; empty without random defenses.

    ``way``: ``expectation``, the score of the mean over so many draws; ``worst``, the smallest of the scores of so many
    single draws, in powers of two. Each is there ``sets`` times, over draws that no other set has. ``mean``: over
    ``images`` and sets; ``spread``: the standard deviation of the sets' means over images, NaN for one set; ``low`` and
    ``high``: the smallest and the largest of them. An image that a classifier takes for another class than its own
    counts 0 there: a random network errs with some draws.
    """
    found = []
    for (network, defense), of_defense in _random(cells):
        part = rows[rows.cell.isin(of_defense.cell)]
        for (norm, target), scored in part.groupby(["norm", "target"], sort=False):
            by_cell = scored.pivot_table(index="id", columns="cell", values="score").fillna(0.0)
            for way, draws, sets in _sets(by_cell.reindex(columns=of_defense.cell, fill_value=0.0), of_defense):
                means = sets.mean(axis=1)
                spread = means.std(ddof=1) if len(means) > 1 else np.nan
                named = (network, defense, norm, target, way, draws, len(means), sets.shape[1])
                found.append((*named, means.mean(), spread, means.min(), means.max()))
    return pd.DataFrame(found, columns=COLUMNS)


def _random(cells: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The cells of each network and random defense that has several, which differ in nothing but their draws."""
    told = cells.defense.map(json.loads)
    draws = {name: told.map(lambda defense, name=name: defense.get(name)) for name in SETTINGS}
    rest = told.map(lambda defense: json.dumps({of: value for of, value in defense.items() if of not in SETTINGS}))
    known = cells.assign(**draws, rest=rest)
    known = known[known.draws.notna() & known["first"].notna()]
    for (network, settings), group in known.groupby(["network", "rest"], sort=False):
        if len(group) > 1:
            defense = json.loads(str(settings))
            yield (
                (str(network), describe_defense(defense.get("transformation", defense))),
                group.sort_values(["draws", "first"]),
            )


def _sets(scores: pd.DataFrame, cells: pd.DataFrame) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
    """The way, the number of draws, and the scores of each set and image."""
    for size in sorted({int(draws) for draws in cells.draws}):
        of_size, end, chosen = cells[cells.draws == size], 0, []
        for cell, first in zip(of_size.cell, of_size["first"], strict=True):
            if first >= end:  # sets that share draws would be too much alike
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
    lambda data: against_draws(data.tables["scores"], data.cells),
    optional=True,
    printed=Printed(
        f"Scores by the number of draws, {UNITS}",
        (
            Column("network", "network", cell_title),
            Column("defense", "defense", cell_title),
            Column("norm", "norm"),
            Column("target", "target", target_title),
            Column("score", "way", {"expectation": "of the mean over", "worst": "worst of single draws"}.__getitem__),
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
