"""Stage figures: draws what the stages before it computed, as PDF for print and PNG for the screen."""

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from clever.bpda import Transformation
from pipeline import artifacts
from pipeline.app import launch
from pipeline.cells import cells, of_cell
from pipeline.comparison import pairs
from pipeline.plots import bpda, convergence, fits, images, orders, scores
from pipeline.prepared import Prepared


def run(config: DictConfig) -> None:
    """Writes scores, fits, convergence, bpda, images and orders to results/figures.

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
    prepared = Prepared.read()
    shown = prepared.manifest.head(images.SHOWN)
    titles = [f"{name[:18]}\n{label}" for name, label in zip(shown.class_name.astype(str), shown.id, strict=True)]
    different: dict[str, Transformation] = {}
    for name in about.cell:
        defense = instantiate(of_cell(config, name).defense)
        if defense not in different.values():
            different[name] = defense
    images.draw(folder, prepared.images(slice(0, images.SHOWN)), titles, different)
    print(f"figures: {', '.join(sorted(path.name for path in folder.glob('*.pdf')))} in {folder}")


def main() -> None:
    """The command line."""
    launch("figures")


if __name__ == "__main__":
    main()
