"""The input of an experiment's tables: run records, scores and distances of all cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

Record = dict[str, Any]
"""A cell's run.json."""


@dataclass(frozen=True)
class ExperimentData:
    """The input of every table, and the tables built so far.

    ``runs``, ``attacks``: run records of the stages score and attack, by cell; ``cells``: one row per cell
    (`pipeline.aggregate.describe`); ``scores``, ``distances`` and, with ``attack.exact``, ``exact``: the rows of all
    cells. ``published``, ``peers``: paths from these settings. ``tables``: by name, in the order of the registry.
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
