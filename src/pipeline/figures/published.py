"""Published averages compared with those of our trainings of the same networks."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, figure, legend_above, note_below
from pipeline.shared.text.formats import cell_title, target_title

PANELS = 4
"""Number of panels per row."""
QUANTITIES = {"clever": ("CLEVER", COLOURS[1], "o"), "cw": ("Carlini and Wagner's attack", COLOURS[2], "s")}


def draw(folder: Path, table: pd.DataFrame) -> None:
    """One panel per network and norm. ``table``: the rows of published.csv. Draws nothing if it is empty."""
    panels = list(table.groupby(["network", "norm"], sort=False)) if len(table) else []
    if not panels:
        return
    across, down = min(len(panels), PANELS), math.ceil(len(panels) / PANELS)
    with figure(folder, "published", width=max(3.4 * across, 5.4), height=3.9 * down) as drawn:
        grid = np.ravel(drawn.subplots(down, across))
        for unused in grid[len(panels) :]:
            unused.set_axis_off()
        for axes, ((network, norm), part) in zip(grid, panels, strict=False):
            targets = list(part.target.unique())
            for place, (quantity, (label, shade, shape)) in enumerate(QUANTITIES.items()):
                rows = part[part.quantity == quantity]
                if rows.empty:
                    continue
                x = rows.target.map(targets.index) + (place - 0.5) * 0.4
                axes.bar(
                    x,
                    rows.expected_high - rows.expected_low,
                    bottom=rows.expected_low,
                    width=0.3,
                    color=shade,
                    alpha=0.2,
                    lw=0,
                    label=f"{label}: prediction interval",
                )
                bars = (rows["mean"] - rows.low, rows.high - rows["mean"])
                axes.errorbar(
                    x, rows["mean"], bars, fmt=shape, color=shade, ms=5, capsize=4, label=f"{label}: ours, range"
                )
                axes.scatter(
                    x + 0.09,
                    rows.published,
                    45,
                    "black",
                    marker="x",
                    label="published" if quantity == part.quantity.iloc[0] else None,
                )
            axes.set_xticks(range(len(targets)), [target_title(target) for target in targets])
            axes.set_xlim(-0.6, len(targets) - 0.4)
            axes.set_ylim(bottom=0)
            trainings = f"{part.seeds.max()} trainings" if part.seeds.max() > 1 else "one training"
            axes.set_title(f"{cell_title(str(network))}, {norm}, {trainings}")
            axes.set_ylabel(f"mean over images,\n{norm} norm ([0,1] pixel units)")
        legend_above(drawn, axes)
        note_below(drawn, "band: 95 % prediction interval for a retrained network, over as many images as published")


FIGURE = Figure(
    {"published": "Published averages and our trainings of the same networks"},
    lambda data, folder: draw(folder, data.files.table("published")),
    whole_experiment=True,
)
