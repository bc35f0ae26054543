"""Stage figures: draws what the stages before it computed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig

from pipeline.figures import (
    adversaries,
    against,
    bpda,
    convergence,
    curves,
    draws,
    evidence,
    exact,
    fits,
    images,
    masking,
    networks,
    orders,
    radius,
    sandwich,
    scores,
)
from pipeline.figures.style import COLOURS
from pipeline.shared import artifacts
from pipeline.shared.experiment import chosen, data_set
from pipeline.shared.pairing import by_the_nearest

Arrays = dict[str, NDArray[Any]]


def run(config: DictConfig) -> None:
    """Draws scores, fits, convergence, bpda, images, orders, curves, radius, sandwich, against, masking, adversaries.

    And, where the stage aggregate left their tables, radius, networks and draws. ``orders`` compares first and second
    order on all networks that have both, ``networks`` all networks, ``exact`` all cells, ``curves`` and ``evidence``
    all orders of the first network, ``radius`` all of its first defense; the others draw the cells of the first network
    and order, or those of `told_apart`.
    """
    name, folder = chosen(), artifacts.figures(config)
    tables = artifacts.needed(artifacts.tables(config), "aggregate", f" experiment={name}")
    text = {"id": str, "target": str}
    every = pd.read_csv(tables / "scores.csv", dtype=text)
    summary = pd.read_csv(tables / "summary.csv", dtype=text)
    about = pd.read_csv(tables / "cells.csv", dtype={"cell": str})
    if (tables / "exact.csv").is_file():
        exact.draw(folder, pd.read_csv(tables / "exact.csv", dtype=text), about)
    orders.draw(folder, pd.read_csv(tables / "order_pairs.csv", dtype=text))
    if (tables / "networks.csv").is_file():
        networks.draw(folder, *(pd.read_csv(tables / f"{of}.csv", dtype=text) for of in ("networks", "agreement")))
    if (tables / "draws.csv").is_file():
        draws.draw(folder, pd.read_csv(tables / "draws.csv", dtype=text))
    about = told_apart(about[about.network == about.network[0]])
    curves.draw(folder, every[every.distance.notna()], about[about.bpda])
    worth = pd.read_csv(tables / "evidence.csv")
    evidence.draw(folder, by_the_nearest(every, about[about.bpda]), worth)
    if (tables / "radius.csv").is_file():
        over = pd.read_csv(tables / "radius.csv", dtype=text)
        radius.draw(
            folder,
            over[(over.network == about.network.iloc[0]) & (over.transformation == about.transformation.iloc[0])],
        )
    about = about[about.order == about.order.iloc[0]]
    every, summary = (table[table.cell.isin(about.cell)] for table in (every, summary))
    baseline, straight = about.cell.iloc[0], list(about[about.bpda].cell)
    bounds = pd.read_csv(tables / "bounds.csv", dtype=text)
    scores.draw(folder, summary, bounds)
    bpda.draw(folder, every, summary, about[_of_a_defense(about)], baseline)
    maxima = artifacts.scores_of(config, baseline) / "maxima.npy"
    if maxima.is_file():
        of_baseline = every[every.cell == baseline]
        fits.draw(folder, of_baseline, np.load(maxima))
        convergence.draw(folder, of_baseline, np.load(maxima), config.sampling.estimator)
    with_distance = every[every.distance.notna()]
    sandwich.draw(folder, with_distance[with_distance.cell.isin(straight)])
    against.draw(folder, with_distance[with_distance.cell.isin(straight)])
    masking.draw(folder, with_distance, _with_and_without(about))
    # Pictures of images that `dvc repro` cannot prepare anywhere, and that may be others', are no part of the results.
    sheets = folder if data_set() in config.experiments.data else artifacts.sheets(config)
    defended = dict(_examples(artifacts.scores_of(config, cell) for cell in about.cell))
    if defended:
        different = about[about.cell.isin(defended)].drop_duplicates("defense").cell
        images.draw(sheets, {cell: defended[cell] for cell in different})
    attacked = dict(_examples(artifacts.attacks_of(config, cell) for cell in straight if cell in defended))
    if attacked:
        first = {cell: every[every.cell == cell].iloc[0] for cell in attacked}
        for cell, row in first.items():
            attacked[cell]["defended"] = defended[cell]["defended"][list(defended[cell]["id"]).index(row.id)]
        captions = {cell: f"{row.id}\nclass {row.predicted} to {row.target_class}" for cell, row in first.items()}
        adversaries.draw(sheets, attacked, captions, next(iter(first.values())).target)
    drawn = sorted(path.stem for path in folder.glob("*.pdf"))
    print(f"{name}: {', '.join(drawn)} in {folder}" + f"; pictures of images in {sheets}" * (sheets != folder))
    for missing, there in (("fits, convergence", maxima.is_file()), ("adversaries", attacked), ("images", defended)):
        if not there:
            print(f"{name}: no {missing}, since the files they are drawn from are not there")


def told_apart(about: pd.DataFrame) -> pd.DataFrame:
    """All cells; where these are more than there are colours, the first of each defense, BPDA and kind of score."""
    return about if len(about) <= len(COLOURS) else about.drop_duplicates(["defense", "bpda", "kind"])


def _of_a_defense(about: pd.DataFrame) -> "pd.Series[bool]":
    """The baseline, which comes first, and the cells of another defense or without BPDA."""
    known: pd.Series[bool] = (about.defense != about.defense.iloc[0]) | ~about.bpda
    known.iloc[0] = True
    return known


def _examples(folders: Iterator[Path]) -> Iterator[tuple[str, Arrays]]:
    """The example images of each cell that has them, by the cell's name."""
    for folder in folders:
        if (folder / "examples.npz").is_file():
            with np.load(folder / "examples.npz") as file:
                yield folder.name, dict(file)


def _with_and_without(about: pd.DataFrame) -> list[tuple[str, str]]:
    """The cells of each defense with BPDA and without."""
    of_defense = about[~about.bpda].drop_duplicates("defense").set_index("defense").cell
    straight = about[about.bpda].drop_duplicates("defense")
    defenses = zip(straight.cell, straight.defense, strict=True)
    return [(cell, of_defense[defense]) for cell, defense in defenses if defense in of_defense]
