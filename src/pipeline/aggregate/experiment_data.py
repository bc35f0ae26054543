"""What the tables of an experiment are built from: run records, scores and distances of all its cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

Record = dict[str, Any]
"""A cell's run.json."""


@dataclass(frozen=True)
class ExperimentData:
    """The input of every table, and the tables that are built already.

    ``runs``, ``attacks``: the run record of each cell of the stages score and attack, by the cell's name; ``cells``: a
    row for each (`pipeline.aggregate.describe`); ``scores``, ``distances``, and ``exact`` where the experiment has
    exact distances: rows of all cells. ``published``, ``peers``: files named by these settings. ``tables``: by name, in
    the order of the registry.
    """

    seed: int
    runs: Mapping[str, Record]
    attacks: Mapping[str, Record]
    cells: pd.DataFrame
    scores: pd.DataFrame
    distances: pd.DataFrame
    exact: pd.DataFrame | None = None
    published: str | None = None
    peers: str | None = None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
