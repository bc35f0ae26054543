"""Estimates at equal tightness: what remains of a difference once a factor is taken away that anyone could apply."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.aggregate import cost
from pipeline.shared.methods import CLEVER, ONE_GRADIENT
from pipeline.shared.statistics import LEVEL, RESAMPLES, log_ratio, rank_correlation, share_interval

ABOVE = 0.05
"""The share above the distance that scores are scaled to, for `tightness`."""
GROUP = ["network", "norm", "target", "cell", "method"]
COLUMNS = [*GROUP, "id", "value", "distance", "gradients", "capped"]
"""Of `values`."""


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


def calibrate(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each network, norm, target, cell and method, over images with a positive finite value and distance.

    ``ratio``: the median of value over distance; ``ratio_5``, ``ratio_95``: its quantiles; ``exceeding``: how many
    images have it beyond 1, ``above`` their share with its exact binomial interval. The rest no factor changes:
    ``spread``, the standard deviation of log(value / distance), with its 95 % bootstrap interval over images;
    ``worst``: the largest ratio over the median one, so the factor by which a value scaled to be right in the median
    is too large at worst; ``tightness``: the median ratio once all values are scaled so that a share `ABOVE` exceeds
    the distance; ``rank_correlation`` (Spearman). ``gradients``: of a value, in the mean. ``capped``: share of values
    at the radius, which have no spread of their own.
    """
    found = []
    for key, group in table.groupby(GROUP, sort=False):
        logs = log_ratio(group.value, group.distance)
        usable = np.isfinite(logs)
        logs, used = logs[usable], group[usable]
        if not len(used):
            continue
        low, high = _spread_interval(logs, seed)
        middle, exceeding = float(np.median(logs)), int((logs > 0).sum())
        above_low, above_high = share_interval(exceeding, len(logs))
        found.append(
            dict(zip(GROUP, key, strict=True))
            | {
                "images": len(used),
                "ratio": np.exp(middle),
                "ratio_5": np.exp(np.quantile(logs, 0.05)),
                "ratio_95": np.exp(np.quantile(logs, 0.95)),
                "exceeding": exceeding,
                "above": exceeding / len(logs),
                "above_low": above_low,
                "above_high": above_high,
                "spread": logs.std(ddof=1) if len(logs) > 1 else np.nan,
                "spread_low": low,
                "spread_high": high,
                "worst": np.exp(logs.max() - middle),
                "tightness": np.exp(middle - np.quantile(logs, 1 - ABOVE)),
                "rank_correlation": rank_correlation(used.value, used.distance),
                "gradients": used.gradients.mean(),
                "capped": used.capped.mean(),
            }
        )
    columns = ["images", "ratio", "ratio_5", "ratio_95", "exceeding", "above", "above_low", "above_high"]
    columns += ["spread", "spread_low", "spread_high", "worst", "tightness", "rank_correlation", "gradients", "capped"]
    return pd.DataFrame(found, columns=[*GROUP, *columns])


def _spread_interval(logs: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Percentiles of the resampled standard deviations, NaN for fewer than six images."""
    if len(logs) < 6:
        return np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(0, len(logs), (RESAMPLES, len(logs)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(logs[drawn].std(1, ddof=1), [tail, 1 - tail])
    return float(low), float(high)
