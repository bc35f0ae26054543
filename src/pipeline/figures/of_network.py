"""The figures of one network: its scores by defense, with BPDA and without, beside attacks; its fits; its images."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.figures import (
    adversaries,
    against,
    bpda,
    convergence,
    curves,
    evidence,
    fits,
    images,
    masking,
    radius,
    sandwich,
    scores,
)
from pipeline.figures.style import COLOURS
from pipeline.shared.pairing import baselines, by_the_nearest, without

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Sources:
    """What is drawn: the folder of an experiment's tables, and by a cell's name those of its scores and its attacks."""

    tables: Path
    scores_of: Callable[[str], Path]
    attacks_of: Callable[[str], Path]


def draw(of: Sources, about: pd.DataFrame, folder: Path, sheets: Path) -> None:
    """Into ``folder``, and sheets of images into ``sheets``; ``about``: what is known of each cell of the network.

    ``curves`` and ``evidence`` show all orders, ``radius`` all radii of the first defense; the others the cells of the
    first order, or those of `told_apart`. Cells have their names without the network's, where all have something left.
    """
    text = {"id": str, "target": str}
    network = str(about.network.iloc[0])
    about = told_apart(about)
    short = {cell: without(cell, network) for cell in about.cell}
    if not all(short.values()):  # one of them has its network's name alone
        short = dict(zip(about.cell, about.cell, strict=True))
    stored = {name: cell for cell, name in short.items()}  # by which the other stages know it

    def of_cells(table: str) -> pd.DataFrame:
        read = pd.read_csv(of.tables / f"{table}.csv", dtype=text)
        return read[read.cell.isin(short)].assign(cell=lambda rows: rows.cell.map(short))

    about = about.assign(cell=about.cell.map(short))
    every, summary, bounds = of_cells("scores"), of_cells("summary"), of_cells("bounds")
    curves.draw(folder, every[every.distance.notna()], about[about.bpda])
    evidence.draw(folder, by_the_nearest(every, about[about.bpda]), of_cells("evidence"))
    if (of.tables / "radius.csv").is_file():
        over = pd.read_csv(of.tables / "radius.csv", dtype=text)
        radius.draw(folder, over[(over.network == network) & (over.transformation == about.transformation.iloc[0])])
    about = about[about.order == about.order.iloc[0]]
    every, summary, bounds = (table[table.cell.isin(about.cell)] for table in (every, summary, bounds))
    baseline, straight = about.cell.iloc[0], list(about[about.bpda].cell)
    scores.draw(folder, summary, bounds[bounds.cell.isin(straight)])
    bpda.draw(folder, every, about[_of_a_defense(about)], baselines(about))
    maxima = of.scores_of(stored[baseline]) / "maxima.npy"
    if maxima.is_file():
        of_baseline = every[every.cell == baseline]
        fits.draw(folder, of_baseline, np.load(maxima))
        estimator = json.loads(about.sampling.iloc[0])["estimator"]
        convergence.draw(folder, of_baseline, np.load(maxima), estimator)
    with_distance = every[every.distance.notna()]
    sandwich.draw(folder, with_distance[with_distance.cell.isin(straight)])
    against.draw(folder, with_distance[with_distance.cell.isin(straight)])
    masking.draw(folder, with_distance, _with_and_without(about))
    defended = dict(_examples({cell: of.scores_of(stored[cell]) for cell in about.cell}))
    if defended:
        different = about[about.cell.isin(defended)].drop_duplicates("defense").cell
        images.draw(sheets, {cell: defended[cell] for cell in different})
    found = {cell: of.attacks_of(stored[cell]) for cell in straight if cell in defended}
    attacked = dict(_examples(found))
    if attacked:
        first = {cell: every[every.cell == cell].iloc[0] for cell in attacked}
        for cell, row in first.items():
            attacked[cell]["defended"] = defended[cell]["defended"][list(defended[cell]["id"]).index(row.id)]
        captions = {cell: f"{row.id}\nclass {row.predicted} to {row.target_class}" for cell, row in first.items()}
        adversaries.draw(sheets, attacked, captions, next(iter(first.values())).target)
    for missing, there in (("fits, convergence", maxima.is_file()), ("adversaries", attacked), ("images", defended)):
        if not there:
            print(f"{network}: no {missing}, since the files they are drawn from are not there")


def told_apart(about: pd.DataFrame) -> pd.DataFrame:
    """All cells; where these are more than there are colours, the first of each defense, BPDA and kind of score."""
    return about if len(about) <= len(COLOURS) else about.drop_duplicates(["defense", "bpda", "kind"])


def _of_a_defense(about: pd.DataFrame) -> "pd.Series[bool]":
    """The baseline, which comes first, and the cells of another defense or without BPDA."""
    known: pd.Series[bool] = (about.defense != about.defense.iloc[0]) | ~about.bpda
    known.iloc[0] = True
    return known


def _examples(folders: dict[str, Path]) -> Iterator[tuple[str, Arrays]]:
    """The example images of each cell that has them, by the cell's name."""
    for cell, folder in folders.items():
        if (folder / "examples.npz").is_file():
            with np.load(folder / "examples.npz") as file:
                yield cell, dict(file)


def _with_and_without(about: pd.DataFrame) -> list[tuple[str, str]]:
    """The cells of each defense with BPDA and without."""
    of_defense = about[~about.bpda].drop_duplicates("defense").set_index("defense").cell
    straight = about[about.bpda].drop_duplicates("defense")
    defenses = zip(straight.cell, straight.defense, strict=True)
    return [(cell, of_defense[defense]) for cell, defense in defenses if defense in of_defense]
