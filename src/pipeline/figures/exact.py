"""Ratio of every estimate to the exact distance, for each image."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, marker, note_below, plain_numbers
from pipeline.shared.app.experiment import cell_label
from pipeline.shared.text.formats import cell_title
from pipeline.shared.text.methods import ATTACK, CERTIFICATE, CLEVER, ONE_GRADIENT, TOOLBOX

METHODS = (ATTACK, CERTIFICATE, ONE_GRADIENT, TOOLBOX)
"""Methods shown at the top of every panel, in this order, above the scores."""


def draw(folder: Path, rows: pd.DataFrame, cells: pd.DataFrame) -> None:
    """One panel per order, one line per setting, one dot per image; a lower bound to the right of 1 is refuted.

    ``rows``: from `pipeline.aggregate.truth.join_exact`, with ``value`` and the exact ``distance``; ``cells``: with
    columns ``order`` and ``swept``.
    """
    rows = rows[rows.distance.notna()]
    hidden = int((~(rows.value > 0)).sum())
    left_out = f"; not shown: {hidden} values that are not positive" * bool(hidden)
    rows = rows[rows.value > 0]
    orders = list(cells.order.unique())
    order = rows.cell.map(cells.set_index("cell").order)
    rows = rows.assign(order=order, line=rows.method.where(rows.method != CLEVER, rows.cell.map(_labels(cells))))
    others = [method for method in METHODS if (rows.method == method).any()]
    lines = [*others, *rows[rows.method == CLEVER].line.unique()]
    with figure(folder, "exact", width=3.1 * len(orders) + 2.2, height=1.3 + 0.21 * len(lines)) as drawn:
        panels = np.ravel(drawn.subplots(1, len(orders), sharex=True, sharey=True))
        for axes, panel_order in zip(panels, orders, strict=True):
            shown = rows[(rows.method != CLEVER) | (rows.order == panel_order)]
            for line, group in shown.groupby("line", sort=False):
                _line(axes, lines.index(str(line)), group)
            axes.axvline(1, color="black", lw=0.7)
            axes.axhline(len(others) - 0.5, color="#B0B0B0", lw=0.7)
            axes.set_title(f"{cell_title(panel_order)} scores", fontsize=9)
        panels[0].set_yticks(
            range(len(lines)), [line if line in others else cell_title(line) for line in lines], fontsize=8
        )
        panels[0].set(xscale="log", ylim=(len(lines) - 0.4, -0.6))
        plain_numbers(panels[0].xaxis)
        images = rows.groupby("target").id.nunique().sum()
        note_below(
            drawn,
            f"estimate / exact L2 distance of {images} images; bar: median; hollow: capped at the radius R; "
            f"at the right: number above the exact distance{left_out}",
        )


def _labels(cells: pd.DataFrame) -> dict[str, str]:
    """A label that distinguishes each cell from the others of its order; the estimator only by its name."""
    labels = {}
    for cell, order, text in zip(cells.cell, cells.order, cells.swept, strict=True):
        swept = {key: value for key, value in json.loads(text).items() if key != "order"}
        estimator = swept.pop("sampling.estimator", None)
        parts = [cell_label(swept), str(estimator or "")]
        labels[cell] = "-".join(part for part in parts if part) or order
    return labels


def _line(axes: Axes, place: int, group: pd.DataFrame) -> None:
    ratio, method = group.value / group.distance, group.method.iloc[0]
    index = 1 + [CLEVER, *METHODS].index(method)
    height = place + np.random.default_rng(0).uniform(-0.25, 0.25, len(group))
    face = ["none" if capped else colour(index) for capped in group.capped]
    axes.scatter(ratio, height, 9, face, marker=marker(index), edgecolors=colour(index), linewidths=0.5)
    axes.plot([ratio.median()] * 2, [place - 0.42, place + 0.42], color="black", lw=1.6)
    above = "" if method == ATTACK else f"{int((ratio > 1).sum())}"
    axes.annotate(above, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=7)


def _draw(data: NetworkData, folder: Path) -> None:
    rows = data.files.table("exact")
    if len(rows):
        draw(folder, rows, data.files.table("cells"))


FIGURE = Figure(
    {"exact": "Every estimate / exact L2 distance, one dot per image"},
    _draw,
    whole_experiment=True,
)
