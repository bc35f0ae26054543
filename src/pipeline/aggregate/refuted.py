"""How often adversarial images refute scores, counted per image, and how tight the scores are."""

import numpy as np
import pandas as pd

from pipeline.shared.stats.statistics import binomial_interval, log_ratio


def count_refuted(rows: pd.DataFrame) -> dict[str, float]:
    """Counts refuted images in rows with ``id``, ``score`` and ``distance``.

    ``images``: the number of images with an adversarial image; ``count_above``: how many of these have any score above
    its distance; ``share_above`` with its exact binomial interval. ``median_ratio``: of score over distance, over rows
    at a positive and finite distance.
    """
    rows = rows[np.isfinite(rows.distance)]
    above = (rows.score > rows.distance).groupby(rows.id).any()
    low, high = binomial_interval(int(above.sum()), len(above))
    return {
        "images": len(above),
        "count_above": int(above.sum()),
        "share_above": above.mean(),
        "share_above_low": low,
        "share_above_high": high,
        "median_ratio": median_ratio(rows),
    }


def median_ratio(rows: pd.DataFrame) -> float:
    """The median ratio of score over distance, NaN if no ratio is defined."""
    ratios = log_ratio(rows.score, rows.distance)
    ratios = ratios[~np.isnan(ratios)]
    return float(np.exp(np.median(ratios))) if len(ratios) else np.nan
