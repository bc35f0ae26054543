"""Scores of a randomized network by the number of draws."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, figure, note_below
from pipeline.shared.text.formats import cell_title, target_title

WAYS = {"expectation": "score of the mean over draws", "worst": "worst score of single draws"}


def draw(folder: Path, table: pd.DataFrame) -> None:
    """One panel for each random defense, norm and target: mean scores over images, with their range over sets of draws.

    ``table``: draws.csv of the stage aggregate. Draws nothing if it is empty.
    """
    panels = list(table.groupby(["network", "defense", "norm", "target"], sort=False)) if len(table) else []
    if not panels:
        return
    with figure(folder, "draws", width=max(3.5 * len(panels), 5.0), height=3.5) as drawn:
        for axes, (key, part) in zip(np.ravel(drawn.subplots(1, len(panels))), panels, strict=True):
            network, defense, norm, target = map(str, key)
            for place, (way, rows) in enumerate(part.groupby("way", sort=False)):
                x, shade = rows.draws * (1.06 if place else 0.94), COLOURS[1 + place]
                ends = np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy())
                axes.errorbar(
                    x, rows["mean"], ends, fmt="so"[place % 2], color=shade, ms=5, capsize=3, label=WAYS[str(way)]
                )
            axes.set_xscale("log", base=2)
            axes.set_xticks(sorted(part.draws.unique()), [f"{m}" for m in sorted(part.draws.unique())])
            axes.minorticks_off()
            axes.set_ylim(bottom=0)
            axes.set_xlabel("number of draws")
            axes.set_ylabel(f"mean CLEVER, {norm} norm ([0,1] pixel units)")
            axes.set_title(f"{cell_title(network)} with {cell_title(defense)}, {target_title(target)}", fontsize=8)
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False, fontsize=8)
        note_below(drawn, "bars: range over disjoint sets of draws")


FIGURE = Figure(
    {"draws": "Scores of a randomized network by the number of draws"},
    lambda data, folder: draw(folder, data.files.table("draws")),
    whole_experiment=True,
)
