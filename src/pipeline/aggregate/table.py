"""What a table of the stage is: its file, when it is written, how it is built, and how it is printed."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.shared.text.printed import Printed

SIX_DIGITS = "%.6g"


@dataclass(frozen=True)
class Table:
    """One table, the file ``name``.csv.

    ``build``: from the experiment's data, whose ``tables`` hold those before it in the registry (`tables.TABLES`).
    ``applies``: whether the experiment has what it needs. ``optional``: not written where it is empty. ``digits``: the
    format of its numbers; None writes all digits. ``printed``: how tables.md shows it, if it does.
    """

    name: str
    build: Callable[[ExperimentData], pd.DataFrame]
    applies: Callable[[ExperimentData], bool] = lambda _: True
    optional: bool = False
    digits: str | None = SIX_DIGITS
    printed: Printed | None = None
