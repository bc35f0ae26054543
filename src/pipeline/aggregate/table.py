"""A table of the stage: its file name, and how and when it is built and printed."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.shared.text.printed import Printed

SIX_DIGITS = "%.6g"


@dataclass(frozen=True)
class Table:
    """One table, written to ``name``.csv.

    ``build``: builds it from the experiment's data, including all ``tables`` before it in the registry
    (`tables.TABLES`). ``applies``: whether the experiment has the data it needs. ``optional``: not written if empty.
    ``digits``: the number format; None writes all digits. ``printed``: its form in tables.md, if any.
    """

    name: str
    build: Callable[[ExperimentData], pd.DataFrame]
    applies: Callable[[ExperimentData], bool] = lambda _: True
    optional: bool = False
    digits: str | None = SIX_DIGITS
    printed: Printed | None = None
