"""Limits on how much numbers may differ from the committed ones on another processor.

With the same weights and images, another instruction set changes the last digit of a gradient. If the largest gradient
of a batch lies next to a kink of ReLU, or a value next to a quantization step, that digit decides between two points,
and a score changes by up to a few percent. A search for adversarial images makes thousands of such decisions in
sequence, so its result is only approximately reproducible.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """Limits on ``median``, 95 % quantile (``quantile_95``) and ``largest`` of a column's relative differences.

    Values within ``tolerance`` of each other, in the column's own unit, count as equal.
    """

    median: float
    quantile_95: float
    largest: float
    tolerance: float = 0.0


EQUAL = Limit(0.0, 0.0, 0.0)
ROUNDING = Limit(1e-5, 1e-4, 1e-3)
"""A single evaluation of a network: margins and gradients at the images themselves."""
SCORE = Limit(1e-5, 1e-3, 5e-2)
"""Scores. Measured with other instructions: 1e-7, 1e-6, 1e-2."""
DISTANCE = Limit(1e-4, 1e-1, 7.5e-1)
"""Adversarial distances. Measured with other instructions: 2e-7, 3e-2, 3e-1 (L1 behind JPEG)."""
MEAN_DISTANCE = Limit(1e-2, 5e-2, 1e-1)
"""Means of adversarial distances and their ratios. Measured: 2e-3, 2e-2, 2e-2."""
MEAN = Limit(1e-3, 5e-3, 2e-2)
"""Means, medians and ratios over images, a few of which may change by the limits of a score or distance."""
COUNT = Limit(0.0, 0.0, 0.0, tolerance=2.0)
"""Counts of images, one or two of which may change where a score is close to a distance. Measured: none."""

TABLES: dict[str, tuple[list[str], dict[str, Limit]]] = {
    "scores": (
        ["cell", "id", "norm", "target"],
        {
            **dict.fromkeys(("label", "predicted", "target_class"), EQUAL),
            **dict.fromkeys(("margin", "gradient_norm"), ROUNDING),
            **dict.fromkeys(("score", "end_point_sample_maximum"), SCORE),
            "distance": DISTANCE,
        },
    ),
    "cells": (["cell"], dict.fromkeys(("accuracy", "scored", "left_out_misclassified"), EQUAL)),
    "summary": (
        ["cell", "norm", "target"],
        {
            **dict.fromkeys(("mean", "median", "ratio"), MEAN),
            "minimum": SCORE,
            **dict.fromkeys(("images", "pairs"), EQUAL),
        },
    ),
    "bounds": (
        ["cell", "norm", "target"],
        {
            "score": MEAN,
            **dict.fromkeys(("distance", "ratio"), MEAN_DISTANCE),
            "count_above": COUNT,
            **dict.fromkeys(("images", "found"), EQUAL),
        },
    ),
    "orders": (["cell", "norm", "target"], dict.fromkeys(("first", "second", "gain"), MEAN)),
}
"""Tables of an experiment: the columns that identify a row, and the limits of the checked columns."""
