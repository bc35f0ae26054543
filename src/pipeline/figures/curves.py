"""Robustness curves: the share of images whose distance to an adversarial image is beyond epsilon, from both sides."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, colour, figure, plain_numbers
from pipeline.shared.app.experiment import cell_label
from pipeline.shared.text.formats import cell_title

DASHES = ("--", "-.", ":", (0, (1, 1)))
"""Of the scores, told apart from the distance and from each other where there is no colour."""


def draw(folder: Path, rows: pd.DataFrame, cells: pd.DataFrame) -> None:
    """A figure a norm, a panel a defense: lower curves by each kind of score, the upper one by the nearest attack.

    An image counts by the nearest of the target classes that were attacked. ``rows``: scores with their ``distance``;
    ``cells``: those shown, with true gradients or BPDA. Without any distance, nothing is drawn.
    """
    defenses = list(cells.defense.unique())
    for norm, of_norm in rows[rows.cell.isin(cells.cell)].groupby("norm", sort=False):
        # wide enough for the legend above a single panel, too
        with figure(folder, f"curves_{norm}", width=max(2.5 * len(defenses) + 0.4, 5.4), height=2.9) as drawn:
            panels = np.ravel(drawn.subplots(1, len(defenses), sharex=True, sharey=True))
            for axes, defense in zip(panels, defenses, strict=True):
                of_defense = cells[cells.defense == defense]
                nearest = of_norm[of_norm.cell.isin(of_defense.cell)].groupby("id").distance.min()
                axes.ecdf(nearest, complementary=True, color=COLOURS[2], lw=1.6, label="smallest distance found")
                labels = _labels(of_defense)
                for place, cell in enumerate(of_defense.cell):
                    scores = of_norm[of_norm.cell == cell].groupby("id").score.min()
                    kind = cell_title(labels[place])
                    axes.ecdf(scores, complementary=True, color=colour(1 + place * 2), ls=DASHES[place % 4], label=kind)
                axes.set_title(cell_title(of_defense.defense_name.iloc[0]))
                axes.set_xlabel(f"ε, {norm} norm\n([0,1] pixel units)")
            values = of_norm[["score", "distance"]].to_numpy()
            shown = values[np.isfinite(values) & (values > 0)]
            if len(shown):
                panels[0].set_xscale("log")
                panels[0].set_xlim(shown.min() / 1.2, shown.max() * 1.2)
                for axes in panels:
                    plain_numbers(axes.xaxis)
            panels[0].set_ylabel("share of images beyond ε")
            drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def _labels(cells: pd.DataFrame) -> list[str]:
    """What distinguishes each cell from others of its defense; else what its scores are."""
    labels = [cell_label(json.loads(swept), ("model", "defense", "bpda")) for swept in cells.swept]
    return [label or kind for label, kind in zip(labels, cells.kind, strict=True)]


FIGURE = Figure(
    {
        "curves_L1": "The share of images whose distance is beyond ε: by scores, and by the nearest attack (L1)",
        "curves_L2": "The same in L2",
        "curves_Linf": "The same in Linf",
    },
    lambda data, folder: draw(folder, data.scores[data.scores.distance.notna()], data.cells[data.cells.bpda]),
)
