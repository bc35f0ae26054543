"""The paper's table: scores summarised over images, and compared with the baseline image by image."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
GROUP = ["cell", "norm", "target"]
PAIR = ["id", "predicted", "target_class", "norm", "target"]
"""Two scores are compared only where both are of the same image, predicted class and target class."""


def summarise(scores: pd.DataFrame, baseline: str, seed: int) -> pd.DataFrame:
    """One row for each cell, norm and target, in the order of ``scores``.

    ``mean`` with the bootstrap interval of the mean over images, ``median``, ``minimum``, ``images``; ``ratio``: the
    geometric mean of the paired ratios to ``baseline`` with its bootstrap interval, over ``pairs`` images;
    ``share_capped``, ``share_fell_back``, ``share_degenerate``. The intervals are percentile intervals at 95 %; a score
    that is unbounded makes the mean, and the ratio, infinite.
    """
    reference = scores[scores.cell == baseline].set_index(PAIR).score
    rows = []
    for (cell, norm, target), group in scores.groupby(GROUP, sort=False):
        values = group.score.to_numpy()
        paired = group.set_index(PAIR).score.to_frame("score").join(reference.rename("reference"), how="inner")
        ratios = _log_ratio(paired.score.to_numpy(), paired.reference.to_numpy())
        low, high = interval(values, seed)
        ratio_low, ratio_high = np.exp(interval(ratios, seed))
        rows.append(
            {
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
                "share_fell_back": group.end_point_fell_back.mean(),
                "share_degenerate": group.end_point_degenerate.mean(),
            }
        )
    return pd.DataFrame(rows)


def interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean, for infinite values too; NaN for no values."""
    if not len(values):
        return np.nan, np.nan
    resampled = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    means = np.sort(values[resampled].mean(1))
    tail = int(RESAMPLES * (1 - LEVEL) / 2)
    return float(means[tail]), float(means[-1 - tail])


def _log_ratio(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    known = (reference > 0) & (scores > 0) & np.isfinite(reference)
    return np.log(scores[known]) - np.log(reference[known])
