"""The paper's table: scores summarised over images, and compared with the baseline image by image."""

import numpy as np
import pandas as pd

from pipeline.shared.pairing import PAIR
from pipeline.shared.statistics import interval, log_ratio

GROUP = ["network", "cell", "norm", "target"]


def baselines(cells: pd.DataFrame) -> dict[str, str]:
    """For each cell the first one of the same network, which its scores are compared with."""
    return dict(zip(cells.cell, cells.groupby("network").cell.transform("first"), strict=True))


def summarise(scores: pd.DataFrame, baseline: dict[str, str], seed: int) -> pd.DataFrame:
    """One row for each cell, norm and target, in the order of ``scores``.

    ``mean`` with the bootstrap interval of the mean over images, ``median``, ``minimum``, ``images``; ``ratio``: the
    geometric mean of the paired ratios to the cell's ``baseline`` with its bootstrap interval, over ``pairs`` images;
    ``share_capped``, ``share_floored``, ``share_fell_back``, ``share_degenerate``. The intervals are percentile
    intervals at 95 %; a score that is unbounded makes the mean, and the ratio, infinite.
    """
    of_cell = {cell: group.set_index(PAIR).score for cell, group in scores.groupby("cell")}
    rows = []
    for (network, cell, norm, target), group in scores.groupby(GROUP, sort=False):
        values, reference = group.score.to_numpy(), of_cell[baseline[str(cell)]]
        paired = group.set_index(PAIR).score.to_frame("score").join(reference.rename("reference"), how="inner")
        ratios = log_ratio(paired.score.to_numpy(), paired.reference.to_numpy())
        low, high = interval(values, seed)
        ratio_low, ratio_high = np.exp(interval(ratios, seed))
        rows.append(
            {
                "network": network,
                "cell": cell,
                "norm": norm,
                "target": target,
                "images": len(values),
                "mean": values.mean(),
                "mean_low": low,
                "mean_high": high,
                "median": np.median(values),
                "minimum": values.min(),
                "ratio": np.exp(ratios.mean()) if len(ratios) else np.nan,
                "ratio_low": ratio_low,
                "ratio_high": ratio_high,
                "pairs": len(ratios),
                "share_capped": group.capped.mean(),
                "share_floored": group.floored.mean(),
                "share_fell_back": group.end_point_fell_back.mean(),
                "share_degenerate": group.end_point_degenerate.mean(),
            }
        )
    return pd.DataFrame(rows)
