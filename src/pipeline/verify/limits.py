"""How much a number may differ from the committed one on another processor, and why.

With equal weights and images another instruction set changes the last digit of a gradient. Where the largest gradient
of a batch lies next to a kink of ReLU, or a value next to a step of a transformation, that digit decides between two
points, and a score moves by up to some percent. A search for adversarial images takes thousands of such decisions one
after the other, so that its result is repeated only nearly.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """Of the relative differences of a column: their ``median``, the 95 % quantile (``quantile_95``) and the ``largest``.

    Values that are no further than ``tolerance`` from each other, in the column's own unit, count as equal.
    """

    median: float
    quantile_95: float
    largest: float
    tolerance: float = 0.0


EQUAL = Limit(0.0, 0.0, 0.0)
ROUNDING = Limit(1e-5, 1e-4, 1e-3)
"""Of one evaluation of a network: margins and gradients at the images themselves."""
SCORE = Limit(1e-5, 1e-3, 5e-2)
"""Measured with other instructions: 1e-7, 1e-6, 1e-2."""
DISTANCE = Limit(1e-4, 1e-1, 7.5e-1)
"""Of an adversarial image found by a search. Measured with other instructions: 2e-7, 3e-2, 3e-1 (L1 behind JPEG)."""
MEAN_DISTANCE = Limit(1e-2, 5e-2, 1e-1)
"""Of a mean of such distances, or its ratio to one. Measured: 2e-3, 2e-2, 2e-2."""
MEAN = Limit(1e-3, 5e-3, 2e-2)
"""Of a mean, median or ratio over images, of which a few may move by as much as a score or distance may."""
COUNT = Limit(0.0, 0.0, 0.0, tolerance=2.0)
"""Of a number of images, of which one or two may change sides where a score lies next to a distance. Measured: none."""

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
"""The tables of an experiment, what names a row, and the columns that are judged."""
