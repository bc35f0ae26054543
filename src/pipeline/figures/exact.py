"""Every estimate over the exact distance, image by image."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.style import colour, figure, marker, plain_numbers
from pipeline.shared.printed import named

METHODS = ("certificate", "one gradient", "attack", "CLEVER")
"""From the top of the figure down."""


def draw(folder: Path, rows: pd.DataFrame) -> None:
    """A line a cell or other method, a dot an image: right of 1 what claims to be a lower bound is refuted.

    ``rows``: `pipeline.aggregate.truth.beside_truth`, with ``value`` and the exact ``distance``.
    """
    rows = rows[rows.distance.notna() & (rows.value > 0)]
    groups = [(str(method), str(cell), group) for (method, cell), group in rows.groupby(["method", "cell"], sort=False)]
    groups.sort(key=lambda found: METHODS.index(found[0]))
    with figure(folder, "exact", width=8.2, height=1.2 + 0.2 * len(groups)) as drawn:
        axes, jitter = drawn.subplots(), np.random.default_rng(0)
        for place, (method, _, group) in enumerate(groups):
            ratio, index = group.value / group.distance, METHODS.index(method)
            height = place + jitter.uniform(-0.25, 0.25, len(group))
            face = ["none" if capped else colour(index) for capped in group.capped]
            axes.scatter(ratio, height, 9, face, marker=marker(index), edgecolors=colour(index), linewidths=0.5)
            axes.plot([ratio.median()] * 2, [place - 0.42, place + 0.42], color="black", lw=1.6)
        axes.axvline(1, color="black", lw=0.7)
        labels = [named(cell) if method == "CLEVER" else method for method, cell, _ in groups]
        axes.set_yticks(range(len(groups)), labels, fontsize=7)
        axes.set(xscale="log", ylim=(len(groups) - 0.4, -0.6))
        plain_numbers(axes.xaxis)
        axes.set_xlabel("value over the exact L2 distance; bar: median; hollow: capped at the radius R")
