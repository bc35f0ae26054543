"""For each image, CLEVER from below and the smallest adversarial distance found from above."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, figure, logarithmic
from pipeline.shared.text.formats import cell_title


def draw(folder: Path, rows: pd.DataFrame) -> None:
    """One row of panels per cell, one column per norm; images and targets sorted by distance.

    ``rows``: from `pipeline.aggregate.upper_bounds.join_distances`.
    """
    cells, norms = list(rows.cell.unique()), list(rows.norm.unique())
    with figure(folder, "sandwich", width=max(3.2 * len(norms), 7.4), height=1.5 * len(cells) + 0.9) as drawn:
        grid = drawn.subplots(len(cells), len(norms), squeeze=False, sharey="col", sharex=True)
        for (i, cell), (j, norm) in ((a, b) for a in enumerate(cells) for b in enumerate(norms)):
            axes, part = grid[i, j], rows[(rows.cell == cell) & (rows.norm == norm)].sort_values("distance")
            x, distance = np.arange(len(part)), part.distance.replace(np.inf, np.nan)
            found = distance.notna().sum()  # without an adversarial image, no score can be above its distance
            axes.vlines(x, part.score, distance, color="#B0B0B0", lw=0.8)
            axes.scatter(x, distance, 9, color=COLOURS[2], marker="s", label="smallest adversarial distance found")
            axes.scatter(x, part.score, 9, color=COLOURS[1], marker="o", label="CLEVER (estimate of a lower bound)")
            above = part.above_distance.to_numpy()
            axes.scatter(x[above], part.score[above], 45, "none", marker="o", edgecolors="black", linewidths=0.9)
            axes.scatter([], [], 45, "none", marker="o", edgecolors="black", label="CLEVER above the distance")
            logarithmic(axes, part[["score", "distance"]].to_numpy())
            axes.set_xticks([])
            axes.set_title(f"{cell_title(cell)}, {norm}: {above.sum()} of {found} above", fontsize=8)
        for norm, axes in zip(norms, grid[-1], strict=True):
            axes.set_xlabel("images and target classes, sorted by distance", fontsize=8)
            grid[len(cells) // 2, norms.index(norm)].set_ylabel(f"{norm} norm ([0,1] pixel units)")
        drawn.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)


FIGURE = Figure(
    {"sandwich": "CLEVER and the smallest adversarial distance found, for each image"},
    lambda data, folder: draw(folder, data.main_attacked),
)
