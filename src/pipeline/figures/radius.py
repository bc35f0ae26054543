"""The score as a function of the ball's radius, compared with the smallest adversarial distance found."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from clever.scoring.radius import self_consistent
from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, figure, note_below, plain_numbers

EXAMPLES = 3
"""Number of example images, shown next to the mean over all images."""


def draw(folder: Path, over: pd.DataFrame) -> None:
    """One row of panels per norm and kind: example images sorted by distance, then the mean over images and targets.

    ``over``: the rows of tables/radius.csv for one network and defense. Draws nothing if there are none.
    """
    attacked = over[over.distance.notna() & np.isfinite(over.distance)]
    rows = list(attacked.groupby(["norm", "kind"], sort=False))
    if not rows:
        return
    with figure(folder, "radius", width=2.3 * (EXAMPLES + 1) + 0.5, height=2.3 * len(rows) + 0.6) as drawn:
        grid = drawn.subplots(len(rows), EXAMPLES + 1, squeeze=False, sharex="row", sharey="row")
        for panels, ((norm, kind), part) in zip(grid, rows, strict=True):
            curves = [curve for _, curve in part.groupby(["id", "target_class"], sort=False)]
            curves.sort(key=lambda curve: curve.distance.iloc[0])
            places = np.linspace(0, len(curves) - 1, min(EXAMPLES, len(curves))).round().astype(int)
            for axes, place in zip(panels, places, strict=False):
                curve = curves[place]
                _panel(axes, curve.sampled, curve.score, curve.distance.iloc[0], self_consistent(curve.score))
                axes.set_title(f"image {curve.id.iloc[0]}", fontsize=8)
            for axes in panels[len(places) : EXAMPLES]:
                axes.set_axis_off()
            best = np.array([self_consistent(curve.score) for curve in curves])
            distance = np.array([curve.distance.iloc[0] for curve in curves])
            means = part.groupby("sampled").score.mean()
            _panel(panels[-1], means.index, means, distance.mean(), best.mean())
            for radius, above in (part.score > part.distance).groupby(part.sampled).sum().items():
                at = (radius, means[radius])
                panels[-1].annotate(int(above), at, (5, -4), textcoords="offset points", va="top", fontsize=7)
            panels[-1].set_title(f"mean of {len(curves)}; self-consistent: {(best > distance).sum()} above", fontsize=8)
            panels[0].set_ylabel(f"{kind.replace('_', ' ')}, {norm} norm\n([0,1] pixel units)")
            panels[0].set(xscale="log", yscale="log", ylim=(0.7 * part.score.min(), None))  # room for the numbers
            plain_numbers(panels[0].xaxis, panels[0].yaxis)
        for axes in grid[-1]:
            axes.set_xlabel("radius R of the ball")
        note_below(drawn, "numbers below the mean: number of scores above the smallest distance found")
        drawn.legend(*grid[0, -1].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)


def _panel(axes: Axes, sampled: ArrayLike, score: ArrayLike, distance: float, best: float) -> None:
    axes.plot(sampled, score, color=COLOURS[1], marker="o", ms=3, label="min(g / L(R), R)")
    axes.plot(sampled, sampled, color="#B0B0B0", lw=0.8, label="R")
    axes.axhline(distance, color=COLOURS[2], lw=1.2, ls="--", label="smallest distance found")
    axes.axhline(best, color=COLOURS[3], lw=0.8, ls=":", label="self-consistent radius")


def _draw(data: NetworkData, folder: Path) -> None:
    over = data.files.table("radius")
    if len(over):
        own = over[over.network == data.network]
        draw(folder, own[own.transformation == data.cells.transformation.iloc[0]])


FIGURE = Figure(
    {
        "radius": "The score as a function of the ball's radius, with the smallest adversarial distance found and the "
        "self-consistent radius"
    },
    _draw,
)
