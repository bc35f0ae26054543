"""Comparison of two versions of a table, column by column."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.verify.limits import Limit


@dataclass(frozen=True)
class Difference:
    """Relative differences of a column; 1 for a text that differs. ``limit``: None if the column is not checked."""

    column: str
    rows: int
    median: float
    quantile_95: float
    largest: float
    at: str
    limit: Limit | None

    @property
    def exceeds_limit(self) -> bool:
        """Whether any difference exceeds its limit."""
        limit = self.limit
        return limit is not None and (
            self.median > limit.median or self.quantile_95 > limit.quantile_95 or self.largest > limit.largest
        )


def compare(
    ours: pd.DataFrame, committed: pd.DataFrame, key: list[str], limits: dict[str, Limit]
) -> tuple[list[Difference], list[str]]:
    """The differences of all common columns, and messages on rows and checked columns that only one table has."""
    ours, committed = ours.set_index(key), committed.set_index(key)
    unmatched = [f"row {_row_name(row)} exists only in this run" for row in ours.index.difference(committed.index)[:3]]
    unmatched += [f"row {_row_name(row)} is missing" for row in committed.index.difference(ours.index)[:3]]
    unmatched += [f"column {name} is missing" for name in limits if name not in ours or name not in committed]
    rows = committed.index.intersection(ours.index)
    found = []
    for name in committed.columns.intersection(ours.columns):
        limit = limits.get(str(name))
        differences = _relative(ours.loc[rows, name], committed.loc[rows, name], limit.tolerance if limit else 0.0)
        if len(differences):
            median, quantile_95 = np.quantile(differences, [0.5, 0.95], method="higher")
            at = _row_name(rows[int(differences.argmax())]) if differences.max() > 0 else ""
            spread = (float(median), float(quantile_95), float(differences.max()))
            found.append(Difference(str(name), len(rows), *spread, at, limit))
    return found, unmatched


def _relative(ours: "pd.Series[float]", committed: "pd.Series[float]", tolerance: float) -> NDArray[np.float64]:
    """|a - b| / max(|a|, |b|): 0 within ``tolerance``, and if both are missing or equally infinite.

    1 for values that cannot be compared and for texts that differ.
    """
    if not all(pd.api.types.is_numeric_dtype(column) for column in (ours, committed)):
        differs: NDArray[np.bool_] = ours.astype(str).to_numpy() != committed.astype(str).to_numpy()
        return differs.astype(np.float64)
    a, b = ours.to_numpy(np.float64), committed.to_numpy(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
        same = (a == b) | (np.abs(a - b) <= tolerance) | (np.isnan(a) & np.isnan(b))
    differences: NDArray[np.float64] = np.where(same, 0.0, np.where(np.isfinite(relative), relative, 1.0))
    return differences


def _row_name(row: object) -> str:
    return " ".join(map(str, row)) if isinstance(row, tuple) else str(row)
