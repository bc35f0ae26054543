"""The paper's table: scores summarised over images, and compared with the baseline image by image."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
GROUP = ["network", "cell", "norm", "target"]
PAIR = ["id", "predicted", "target_class", "norm", "target"]
"""Two scores are compared only where both are of the same image, predicted class and target class."""


def baselines(cells: pd.DataFrame) -> dict[str, str]:
    """For each cell the first one of the same network, which its scores are compared with."""
    return dict(zip(cells.cell, cells.groupby("network").cell.transform("first"), strict=True))


def summarise(scores: pd.DataFrame, baseline: dict[str, str], seed: int) -> pd.DataFrame:
    """One row for each cell, norm and target, in the order of ``scores``.

    ``mean`` with the bootstrap interval of the mean over images, ``median``, ``minimum``, ``images``; ``ratio``: the
    geometric mean of the paired ratios to the cell's ``baseline`` with its bootstrap interval, over ``pairs`` images;
    ``share_capped``, ``share_fell_back``, ``share_degenerate``. The intervals are percentile intervals at 95 %; a score
    that is unbounded makes the mean, and the ratio, infinite.
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
                "share_fell_back": group.end_point_fell_back.mean(),
                "share_degenerate": group.end_point_degenerate.mean(),
            }
        )
    return pd.DataFrame(rows)


def interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean, for infinite values too; NaN for no values."""
    if not len(values):
        return np.nan, np.nan
    generator, at_once = np.random.default_rng(seed), max(1, 10**6 // len(values))
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    drawn = (generator.integers(0, len(values), (size, len(values))) for size in sizes)
    means = np.sort(np.concatenate([values[rows].mean(1) for rows in drawn]))
    tail = int(RESAMPLES * (1 - LEVEL) / 2)
    return float(means[tail]), float(means[-1 - tail])


def log_ratio(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of each ratio that is defined: both positive, the reference finite."""
    known = (reference > 0) & (scores > 0) & np.isfinite(reference)
    return np.log(scores[known]) - np.log(reference[known])
