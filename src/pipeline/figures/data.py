"""The data that figures are drawn from: an experiment's tables, and one network's cells, scores and images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.figures.style import COLOURS

TEXT = {"id": str, "target": str, "cell": str}
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ExperimentFiles:
    """The folder of an experiment's tables, and the folders of scores and attacks by cell name."""

    tables: Path
    scores_of: Callable[[str], Path]
    attacks_of: Callable[[str], Path]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the stage aggregate; empty if the experiment does not have it."""
        path = self.tables / f"{name}.csv"
        return pd.read_csv(path, dtype=TEXT) if path.is_file() else pd.DataFrame()


@dataclass(frozen=True)
class NetworkData:
    """The cells of one network, named by their labels, with their results from earlier stages.

    ``cells``: the cells to show; ``stored``: the name of each cell in the results, by label.
    """

    files: ExperimentFiles
    network: str
    cells: pd.DataFrame
    stored: dict[str, str]

    @classmethod
    def read(cls, files: ExperimentFiles, cells: pd.DataFrame) -> "NetworkData":
        """``cells``: the network's rows of tables/cells.csv; labelled by variant if there are several unique ones."""
        shown = distinguishable(cells)
        labels = shown.variant if len(shown) > 1 and shown.variant.is_unique else shown.cell
        stored = dict(zip(labels, shown.cell, strict=True))
        return cls(files, str(cells.network.iloc[0]), shown.assign(cell=labels), stored)

    def rows(self, table: str) -> pd.DataFrame:
        """The table's rows for these cells."""
        labels = {cell: label for label, cell in self.stored.items()}
        rows = self.files.table(table)
        own: pd.DataFrame = rows[rows.cell.isin(labels)]
        return own.assign(cell=own.cell.map(labels))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """All scores, with their distances."""
        return self.rows("scores")

    @cached_property
    def main_cells(self) -> pd.DataFrame:
        """The cells with the same order as the first cell; most figures show only these."""
        same_order: pd.DataFrame = self.cells[self.cells.order == self.cells.order.iloc[0]]
        return same_order

    @cached_property
    def main_scores(self) -> pd.DataFrame:
        """The scores of `main_cells`."""
        main: pd.DataFrame = self.scores[self.scores.cell.isin(self.main_cells.cell)]
        return main

    @cached_property
    def main_attacked(self) -> pd.DataFrame:
        """The rows of `main_scores` that have a distance and true gradients or BPDA."""
        rows = self.main_scores
        attacked: pd.DataFrame = rows[rows.distance.notna() & rows.cell.isin(self.with_gradients)]
        return attacked

    @property
    def with_gradients(self) -> list[str]:
        """The main cells with true gradients or BPDA."""
        return list(self.main_cells[self.main_cells.bpda].cell)

    @property
    def baseline_scores(self) -> pd.DataFrame:
        """The scores of the first cell."""
        first: pd.DataFrame = self.main_scores[self.main_scores.cell == self.main_cells.cell.iloc[0]]
        return first

    @cached_property
    def maxima(self) -> NDArray[np.float32] | None:
        """The batch maxima of the first cell, one row per score; None if the file is missing."""
        path = self.files.scores_of(self.stored[self.main_cells.cell.iloc[0]]) / "maxima.npy"
        return np.load(path) if path.is_file() else None

    @cached_property
    def defended_images(self) -> dict[str, Arrays]:
        """Example images with the defense of each main cell, where the files exist."""
        return _examples({cell: self.files.scores_of(self.stored[cell]) for cell in self.main_cells.cell})

    @cached_property
    def adversarial_images(self) -> dict[str, Arrays]:
        """Example images of the attack on each main cell with gradients, where the files exist."""
        cells = [cell for cell in self.with_gradients if cell in self.defended_images]
        return _examples({cell: self.files.attacks_of(self.stored[cell]) for cell in cells})


def distinguishable(cells: pd.DataFrame) -> pd.DataFrame:
    """All cells; if there are more cells than colours, the first for each defense, BPDA and kind of score."""
    return cells if len(cells) <= len(COLOURS) else cells.drop_duplicates(["defense", "bpda", "kind"])


def _examples(folders: dict[str, Path]) -> dict[str, Arrays]:
    examples = {}
    for cell, folder in folders.items():
        if (folder / "examples.npz").is_file():
            with np.load(folder / "examples.npz") as file:
                examples[cell] = dict(file)
    return examples
