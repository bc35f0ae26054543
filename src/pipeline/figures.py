"""Stage figures: draws what the stages before it computed, as PDF for print and PNG for the screen."""

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from clever.bpda import Transformation
from pipeline import artifacts
from pipeline.app import launch
from pipeline.cells import cells, of_cell
from pipeline.classifiers.prepared import Prepared
from pipeline.comparison import pairs
from pipeline.plots import adversaries, against, bpda, convergence, fits, images, masking, orders, sandwich, scores


def run(config: DictConfig) -> None:
    """Writes scores, fits, convergence, bpda, images, orders, sandwich, against, masking and adversaries.

    ``orders`` compares first and second order on all networks that have both; the others draw the cells of the first
    network and order.
    """
    folder = artifacts.FIGURES
    names = cells(config)
    tables = artifacts.needed(artifacts.AGGREGATE, "aggregate")
    every = pd.read_csv(tables / "scores.csv", dtype={"id": str, "target": str})
    summary = pd.read_csv(tables / "table.csv", dtype={"target": str})
    about = pd.read_csv(tables / "cells.csv")
    orders.draw(folder, pairs(every, about))
    baseline = names[0]
    about = about[(about.network == about.network[0]) & (about.order == about.order[0])]
    every, summary = (table[table.cell.isin(about.cell)] for table in (every, summary))
    maxima, of_baseline = np.load(artifacts.scores_of(baseline) / "maxima.npy"), every[every.cell == baseline]
    scores.draw(folder, summary)
    bpda.draw(folder, every, summary, about, baseline)
    fits.draw(folder, of_baseline, maxima)
    convergence.draw(folder, of_baseline, maxima, config.sampling.estimator)
    straight = about[about.bpda].cell
    sandwich.draw(folder, every[every.cell.isin(straight)])
    against.draw(folder, every[every.cell.isin(straight)])
    masking.draw(folder, every, _with_and_without(about))
    examples = {cell: dict(np.load(artifacts.attacks_of(cell) / "examples.npz")) for cell in straight}
    first = {cell: every[every.cell == cell].iloc[0] for cell in straight}
    captions = {cell: f"{row.id}\nclass {row.predicted} to {row.target_class}" for cell, row in first.items()}
    adversaries.draw(folder, examples, captions, first[baseline].target)
    prepared = Prepared.read()
    shown = prepared.manifest.head(images.SHOWN)
    titles = [f"{name[:18]}\n{label}" for name, label in zip(shown.class_name.astype(str), shown.id, strict=True)]
    different: dict[str, Transformation] = {}
    for name in about.cell:
        defense = instantiate(of_cell(config, name).defense)
        if defense not in different.values():
            different[name] = defense
    images.draw(folder, prepared.images(range(len(shown))), titles, different)
    print(f"figures: {', '.join(sorted(path.name for path in folder.glob('*.pdf')))} in {folder}")


def _with_and_without(about: pd.DataFrame) -> list[tuple[str, str]]:
    """The cells of each defense with BPDA and without."""
    masked = about[~about.bpda].drop_duplicates("defense").set_index("defense").cell
    straight = about[about.bpda].drop_duplicates("defense")
    defenses = zip(straight.cell, straight.defense, strict=True)
    return [(cell, masked[defense]) for cell, defense in defenses if defense in masked]


def main() -> None:
    """The command line."""
    launch("figures")


if __name__ == "__main__":
    main()
