"""Stage figures: draws what the stages before it computed, as PDF for print and PNG for the screen."""

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from clever.bpda import Transformation
from pipeline import artifacts
from pipeline.app import launch
from pipeline.cells import cells, of_cell
from pipeline.plots import bpda, convergence, fits, images, scores
from pipeline.prepared import Prepared


def run(config: DictConfig) -> None:
    """Writes scores, fits, convergence, bpda and images to results/figures."""
    folder = artifacts.FIGURES
    names = cells(config)
    tables = artifacts.needed(artifacts.AGGREGATE, "aggregate")
    every = pd.read_csv(tables / "scores.csv", dtype={"id": str, "target": str})
    summary = pd.read_csv(tables / "table.csv", dtype={"target": str})
    about = pd.read_csv(tables / "cells.csv")
    maxima = np.load(artifacts.scores_of(config.baseline) / "maxima.npy")
    of_baseline = every[every.cell == config.baseline]
    scores.draw(folder, summary)
    bpda.draw(folder, every, summary, about, config.baseline)
    fits.draw(folder, of_baseline, maxima)
    convergence.draw(folder, of_baseline, maxima, config.sampling.estimator)
    prepared = Prepared.read()
    shown = prepared.manifest.head(images.SHOWN)
    titles = [f"{name[:18]}\n{label}" for name, label in zip(shown.class_name.astype(str), shown.id, strict=True)]
    different: dict[str, Transformation] = {}
    for name in names:
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
