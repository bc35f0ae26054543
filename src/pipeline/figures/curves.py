"""Robustness curves: the share of images whose score or adversarial distance exceeds epsilon."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, colour, figure, plain_numbers
from pipeline.shared.app.experiment import cell_label
from pipeline.shared.text.formats import cell_title

DASHES = ("--", "-.", ":", (0, (1, 1)))
"""Line styles of the scores, which distinguish them without colour."""


def draw(folder: Path, rows: pd.DataFrame, cells: pd.DataFrame) -> None:
    """One figure per norm, one panel per defense: a curve for each kind of score, and one for the smallest distance.

    For each image the smallest value over the attacked target classes is used. ``rows``: scores with their
    ``distance``; ``cells``: those to show, with true gradients or BPDA. Draws nothing if there are no distances.
    """
    defenses = list(cells.defense.unique())
    for norm, norm_rows in rows[rows.cell.isin(cells.cell)].groupby("norm", sort=False):
        # at least wide enough for the legend
        with figure(folder, f"curves_{norm}", width=max(2.5 * len(defenses) + 0.4, 5.4), height=2.9) as drawn:
            panels = np.ravel(drawn.subplots(1, len(defenses), sharex=True, sharey=True))
            for axes, defense in zip(panels, defenses, strict=True):
                shown_cells = cells[cells.defense == defense]
                nearest = norm_rows[norm_rows.cell.isin(shown_cells.cell)].groupby("id").distance.min()
                axes.ecdf(nearest, complementary=True, color=COLOURS[2], lw=1.6, label="smallest distance found")
                labels = _labels(shown_cells)
                for place, cell in enumerate(shown_cells.cell):
                    scores = norm_rows[norm_rows.cell == cell].groupby("id").score.min()
                    kind = cell_title(labels[place])
                    axes.ecdf(scores, complementary=True, color=colour(1 + place * 2), ls=DASHES[place % 4], label=kind)
                axes.set_title(cell_title(shown_cells.defense_name.iloc[0]))
                axes.set_xlabel(f"ε, {norm} norm\n([0,1] pixel units)")
            values = norm_rows[["score", "distance"]].to_numpy()
            shown = values[np.isfinite(values) & (values > 0)]
            if len(shown):
                panels[0].set_xscale("log")
                panels[0].set_xlim(shown.min() / 1.2, shown.max() * 1.2)
                for axes in panels:
                    plain_numbers(axes.xaxis)
            panels[0].set_ylabel("share of images above ε")
            drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def _labels(cells: pd.DataFrame) -> list[str]:
    """A label that distinguishes each cell from others with the same defense, or else its kind of score."""
    labels = [cell_label(json.loads(swept), ("model", "defense", "bpda")) for swept in cells.swept]
    return [label or kind for label, kind in zip(labels, cells.kind, strict=True)]


FIGURE = Figure(
    {
        f"curves_{norm}": f"Share of images whose score, or smallest adversarial distance found, exceeds ε ({norm})"
        for norm in ("L1", "L2", "Linf")
    },
    lambda data, folder: draw(folder, data.scores[data.scores.distance.notna()], data.cells[data.cells.bpda]),
)
