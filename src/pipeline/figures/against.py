"""Scatter plot of CLEVER and the smallest adversarial distance found."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, legend_above, marker, note_below, plain_numbers
from pipeline.shared.text.formats import cell_title


def draw(folder: Path, rows: pd.DataFrame) -> None:
    """One panel per norm; an estimate of a lower bound should lie below the diagonal."""
    cells, norms = list(rows.cell.unique()), list(rows.norm.unique())
    with figure(folder, "against", width=3.3 * len(norms), height=3.7) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(1, len(norms))), norms, strict=True):
            part = rows[(rows.norm == norm) & np.isfinite(rows.distance) & np.isfinite(rows.score)]
            for index, cell in enumerate(cells):
                points = part[part.cell == cell]
                face = ["white" if capped else colour(index) for capped in points.capped]
                axes.scatter(
                    points.distance, points.score, 13, face, marker=marker(index), edgecolors=colour(index), lw=0.6
                )
                axes.scatter([], [], 16, color=colour(index), marker=marker(index), label=cell_title(cell))
            values = part[["score", "distance"]].to_numpy()
            if len(values):
                ends = [values.min() * 0.8, values.max() * 1.25]
                axes.plot(ends, ends, color="black", lw=0.7)
                axes.set(xscale="log", yscale="log")
                plain_numbers(axes.xaxis, axes.yaxis)
            axes.set_xlabel(f"smallest distance found,\n{norm} norm ([0,1] pixel units)")
            axes.set_ylabel(f"CLEVER, {norm} norm ([0,1] pixel units)")
        legend_above(drawn, axes)
        note_below(drawn, "line: score = distance; hollow: score capped at the radius R")


FIGURE = Figure(
    {"against": "CLEVER versus the smallest adversarial distance found"},
    lambda data, folder: draw(folder, data.main_attacked),
)
