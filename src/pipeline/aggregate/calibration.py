"""Estimates at equal tightness: what remains of a difference once a factor is taken away that anyone could apply."""

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
"""The share above the distance that scores are scaled to, for `tightness`."""
GROUP = ["network", "norm", "target", "cell", "method"]
COLUMNS = [*GROUP, "id", "value", "distance", "gradients", "capped"]
"""Of `values`."""
OF_LOGS = ["ratio", "ratio_5", "ratio_95", "count_above", "share_above", "share_above_low", "share_above_high"]
OF_SPREAD = ["spread", "spread_low", "spread_high", "worst", "tightness", "pairs", "gain", "gain_low", "gain_high"]
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
"""Verdicts by the interval of ``gain``."""


def values(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """A row for each score that has a distance, and for each image one with the baseline g(x0) / ||grad g(x0)||_q.

    The baseline costs one gradient and is the same for all cells of a network, defense and BPDA: it stands at the first
    of them. ``gradients``: what a value costs (`pipeline.aggregate.cost`).
    """
    known = rows[rows.distance.notna()]
    scores = known.assign(method=CLEVER, value=known.score, gradients=cost.gradients(known))
    first = cells.drop_duplicates(["network", "defense", "bpda"]).cell
    once = known[known.cell.isin(first)]
    linear = once.margin / once.gradient_norm.where(once.gradient_norm > 0)
    baseline = once.assign(method=ONE_GRADIENT, value=linear, gradients=1.0, capped=False)
    return pd.concat([scores[COLUMNS], baseline[COLUMNS]], ignore_index=True)


def calibrate(table: pd.DataFrame, cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each network, norm, target, cell and method, over images with a positive finite value and distance.

    ``ratio``: the median of value over distance; ``ratio_5``, ``ratio_95``: its quantiles; ``count_above``: how many
    images have it beyond 1, ``share_above`` their share with its exact binomial interval. The rest no factor changes:
    ``spread``, the standard deviation of log(value / distance), with its 95 % interval (`spread_interval`); ``worst``:
    the largest ratio over the median one, so the factor by which a value scaled to be right in the median is too large
    at worst; ``tightness``: the median ratio once all values are scaled so that a share `ABOVE` exceeds the distance;
    ``rank_correlation`` (Spearman). ``gain``: the tightness over that of CLEVER of first order, the first such of
    ``cells`` with the same network, defense and BPDA, both over the ``pairs`` of images that both have, with the 95 %
    interval of a bootstrap of these; ``verdict``: whether that is above 1 (`BETTER`), below (`WORSE`) or neither; none
    for the reference itself and where there is none. ``gradients``: of a value, in the mean. ``capped``: share of
    values at the radius, which have no spread of their own.
    """
    table = table.assign(log=log_ratio(table.value, table.distance))
    table = table[np.isfinite(table.log)]
    of_key = {tuple(map(str, key)): group for key, group in table.groupby(GROUP, sort=False)}
    reference, found = _references(cells), []
    for key, used in of_key.items():
        logs = used.log.to_numpy()
        middle, count_above = float(np.median(logs)), int((logs > 0).sum())
        (low, high), (above_low, above_high) = std_interval(logs), binomial_interval(count_above, len(logs))
        *place, cell, _ = key
        first = (*place, reference.get(cell, ""), CLEVER)
        gain = _gain(used, of_key[first], seed) if first in of_key and first != key else {"verdict": ""}
        found.append(
            dict(zip(GROUP, key, strict=True))
            | {
                "images": len(used),
                "ratio": np.exp(middle),
                "ratio_5": np.exp(np.quantile(logs, 0.05)),
                "ratio_95": np.exp(np.quantile(logs, 0.95)),
                "count_above": count_above,
                "share_above": count_above / len(logs),
                "share_above_low": above_low,
                "share_above_high": above_high,
                "spread": logs.std(ddof=1) if len(logs) > 1 else np.nan,
                "spread_low": low,
                "spread_high": high,
                "worst": np.exp(logs.max() - middle),
                "tightness": np.exp(_log_tightness(logs)),
                "rank_correlation": rank_correlation(used.value, used.distance),
                "gradients": used.gradients.mean(),
                "capped": used.capped.mean(),
            }
            | gain
        )
    columns = ["images", *OF_LOGS, *OF_SPREAD, "verdict", "rank_correlation", "gradients", "capped"]
    return pd.DataFrame(found, columns=[*GROUP, *columns])


def _references(cells: pd.DataFrame) -> dict[str, str]:
    """For each cell the first one of first order that has its network, defense and BPDA, where there is one."""
    same = ["network", "defense", "bpda"]
    first = cells[cells.order == "first_order"].drop_duplicates(same)
    both = cells.merge(first[[*same, "cell"]], on=same, suffixes=("", "_reference"))
    return dict(zip(both.cell, both.cell_reference, strict=True))


def _log_tightness(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the ratios along the last axis."""
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
    found = dict(zip(("gain", "gain_low", "gain_high"), np.exp([value, low, high]), strict=True))
    return found | {"pairs": len(pairs), "verdict": verdict}


def _gain_text(gain: float, low: float, high: float, verdict: str) -> str:
    return "" if np.isnan(gain) else f"{with_interval(gain, low, high)}, {verdict}"


AT_EQUAL_TIGHTNESS = (
    printed.interval("spread", "spread"),
    Column("worst", "worst", number),
    Column("median at 5 % above", "tightness", number),
    Column("over first order", ("gain", "gain_low", "gain_high", "verdict"), _gain_text),
    Column("rank correlation", "rank_correlation", correlation),
    Column("gradients", "gradients", integer_or_empty),
    Column("capped", "capped", "{:.0%}".format),
)
"""What no factor changes of estimates, and what they cost."""
TABLE = Table(
    "calibration",
    lambda data: calibrate(values(data.tables["scores"], data.cells), data.cells, data.seed),
    printed=Printed(
        "Estimates over the smallest distance found, at equal tightness",
        (
            Column("cell", "cell", cell_title),
            Column("estimate", "method"),
            Column("target", "target", target_title),
            Column("median ratio", "ratio", number),
            Column("above", "share_above", "{:.0%}".format),
            *AT_EQUAL_TIGHTNESS,
            Column("images", "images"),
        ),
        by_network_and_norm=True,
    ),
)
