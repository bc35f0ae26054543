"""Estimates at equal tightness: differences that remain after each estimate is rescaled by the best constant factor."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.aggregate import cost
from pipeline.aggregate.table import Table
from pipeline.shared.stats.statistics import (
    binomial_interval,
    log_ratio,
    rank_correlation,
    statistic_interval,
    std_interval,
)
from pipeline.shared.text import printed
from pipeline.shared.text.formats import cell_title, correlation, integer_or_empty, number, target_title, with_interval
from pipeline.shared.text.methods import CLEVER, ONE_GRADIENT
from pipeline.shared.text.printed import Column, Printed

ABOVE = 0.05
"""The share of scores above the distance after rescaling, for ``tightness``."""
GROUP = ["network", "norm", "target", "cell", "method"]
COLUMNS = [*GROUP, "id", "value", "distance", "gradients", "capped"]
"""Columns of the table `values`."""
RATIO_COLUMNS = ["ratio", "ratio_5", "ratio_95", "count_above", "share_above", "share_above_low", "share_above_high"]
SPREAD_COLUMNS = ["spread", "spread_low", "spread_high", "worst", "tightness", "pairs", "gain", "gain_low", "gain_high"]
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
"""Verdicts based on the interval of ``gain``."""


def values(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each score with a distance, and one for each image with the baseline g(x0) / ||grad g(x0)||_q.

    The baseline costs one gradient. It is the same for all cells with the same network, defense and BPDA, and listed
    once, at the first of them. ``gradients``: the cost of a value (`pipeline.aggregate.cost`).
    """
    attacked = rows[rows.distance.notna()]
    scores = attacked.assign(method=CLEVER, value=attacked.score, gradients=cost.gradients(attacked))
    first = cells.drop_duplicates(["network", "defense", "bpda"]).cell
    at_first = attacked[attacked.cell.isin(first)]
    linear = at_first.margin / at_first.gradient_norm.where(at_first.gradient_norm > 0)
    baseline = at_first.assign(method=ONE_GRADIENT, value=linear, gradients=1.0, capped=False)
    return pd.concat([scores[COLUMNS], baseline[COLUMNS]], ignore_index=True)


def calibrate(table: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each network, norm, target, cell and method, over images with a positive finite value and distance.

    ``ratio``: the median of value over distance; ``ratio_5``, ``ratio_95``: its quantiles; ``count_above``: the number
    of images with a ratio above 1, ``share_above`` their share with its exact binomial interval.

    Independent of scale: ``spread``, the standard deviation of log(value / distance), with its 95 % interval
    (`spread_interval`); ``worst``, the largest ratio over the median ratio; ``tightness``, the median ratio after all
    values are scaled so that a share `ABOVE` exceeds the distance; ``rank_correlation`` (Spearman).

    ``gain``: tightness relative to first-order CLEVER, the first such cell of ``cells`` with the same network, defense
    and BPDA, over the ``pairs`` (images with both values), with a 95 % bootstrap interval; ``verdict``: whether that
    interval is above 1 (`BETTER`), below (`WORSE`) or neither; empty for the reference itself and without a reference.
    ``gradients``: mean cost of a value. ``capped``: share of values at the radius, which have no spread of their own.
    """
    table = table.assign(log=log_ratio(table.value, table.distance))
    table = table[np.isfinite(table.log)]
    groups = {tuple(map(str, key)): group for key, group in table.groupby(GROUP, sort=False)}
    reference, summary = _references(cells), []
    for key, group in groups.items():
        logs = group.log.to_numpy()
        median, count_above = float(np.median(logs)), int((logs > 0).sum())
        (low, high), (above_low, above_high) = std_interval(logs), binomial_interval(count_above, len(logs))
        *place, cell, _ = key
        first = (*place, reference.get(cell, ""), CLEVER)
        gain = _gain(group, groups[first], seed) if first in groups and first != key else {"verdict": ""}
        summary.append(
            dict(zip(GROUP, key, strict=True))
            | {
                "images": len(group),
                "ratio": np.exp(median),
                "ratio_5": np.exp(np.quantile(logs, 0.05)),
                "ratio_95": np.exp(np.quantile(logs, 0.95)),
                "count_above": count_above,
                "share_above": count_above / len(logs),
                "share_above_low": above_low,
                "share_above_high": above_high,
                "spread": logs.std(ddof=1) if len(logs) > 1 else np.nan,
                "spread_low": low,
                "spread_high": high,
                "worst": np.exp(logs.max() - median),
                "tightness": np.exp(_log_tightness(logs)),
                "rank_correlation": rank_correlation(group.value, group.distance),
                "gradients": group.gradients.mean(),
                "capped": group.capped.mean(),
            }
            | gain
        )
    columns = ["images", *RATIO_COLUMNS, *SPREAD_COLUMNS, "verdict", "rank_correlation", "gradients", "capped"]
    return pd.DataFrame(summary, columns=[*GROUP, *columns])


def _references(cells: pd.DataFrame) -> dict[str, str]:
    """For each cell the first first-order cell with the same network, defense and BPDA, if any."""
    merge_keys = ["network", "defense", "bpda"]
    first = cells[cells.order == "first_order"].drop_duplicates(merge_keys)
    both = cells.merge(first[[*merge_keys, "cell"]], on=merge_keys, suffixes=("", "_reference"))
    return dict(zip(both.cell, both.cell_reference, strict=True))


def _log_tightness(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log of ``tightness``, from log ratios along the last axis."""
    difference: NDArray[np.float64] = np.median(logs, axis=-1) - np.quantile(logs, 1 - ABOVE, axis=-1)
    return difference


def _gain(rows: pd.DataFrame, reference: pd.DataFrame, seed: int) -> dict[str, object]:
    pairs = rows.set_index("id")[["log"]].join(reference.set_index("id").log.rename("other"), how="inner")
    if pairs.empty:
        return {"pairs": 0, "verdict": UNDECIDED}
    ours, others = pairs.to_numpy().T

    def gain(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return _log_tightness(ours[drawn]) - _log_tightness(others[drawn])

    value, (low, high) = float(gain(np.arange(len(pairs)))), statistic_interval(gain, len(pairs), seed)
    verdict = BETTER if low > 0 else WORSE if high < 0 else UNDECIDED
    columns = dict(zip(("gain", "gain_low", "gain_high"), np.exp([value, low, high]), strict=True))
    return columns | {"pairs": len(pairs), "verdict": verdict}


def _gain_text(gain: float, low: float, high: float, verdict: str) -> str:
    return "" if np.isnan(gain) else f"{with_interval(gain, low, high)}, {verdict}"


AT_EQUAL_TIGHTNESS = (
    printed.interval("spread", "spread"),
    Column("worst", "worst", number),
    Column("median at 5 % above", "tightness", number),
    Column("ratio to first order", ("gain", "gain_low", "gain_high", "verdict"), _gain_text),
    Column("rank correlation", "rank_correlation", correlation),
    Column("gradients", "gradients", integer_or_empty),
    Column("capped", "capped", "{:.0%}".format),
)
"""Printed columns: quantities independent of an estimate's scale, and its cost."""
TABLE = Table(
    "calibration",
    lambda data: calibrate(values(data.tables["scores"], data.cells), data.cells, data.seed),
    printed=Printed(
        "Estimate / smallest distance found, at equal tightness",
        (
            Column("cell", "cell", cell_title),
            Column("estimate", "method"),
            Column("target", "target", target_title),
            Column("median ratio", "ratio", number),
            Column("above distance", "share_above", "{:.0%}".format),
            *AT_EQUAL_TIGHTNESS,
            Column("images", "images"),
        ),
        by_network_and_norm=True,
    ),
)
