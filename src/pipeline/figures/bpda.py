"""Ratios of each defense's scores to the undefended scores, for each image, with BPDA and without."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, marker, note_below, plain_numbers, unbounded
from pipeline.shared.app.experiment import cell_label
from pipeline.shared.stats.pairing import add_log_ratios, baselines
from pipeline.shared.text.formats import cell_title

WIDTH = 0.55
"""Width of a cell in inches."""
LETTER = 0.03
"""Height in inches that each letter of a rotated label needs."""


def draw(folder: Path, scores: pd.DataFrame, cells: pd.DataFrame, baseline: Mapping[str, str]) -> None:
    """One panel per norm: the ratio to the baseline for every image and target; hollow if capped at the radius.

    ``baseline``: for each cell the cell it is compared with (`baselines`). ``cells``: the undefended cell, then the
    cells to show; their column ``without_bpda`` has labels without BPDA. Draws nothing if there are none to show.
    """
    shown = list(cells.cell[1:])
    if not shown:
        return
    bpda = dict(zip(cells.cell, cells.bpda, strict=True))
    names = dict(zip(cells.cell, cells.without_bpda, strict=True))
    labels = [f"{cell_title(names[cell])}\n({'with' if bpda[cell] else 'no'} BPDA)" for cell in shown]
    norms, undefended = list(scores.norm.unique()), cell_title(str(cells.defense_name.iloc[0]))
    paired = add_log_ratios(scores, baseline)
    rng = np.random.default_rng(0)
    width, height = max(3.2, WIDTH * len(shown)) * len(norms), 3.2 + LETTER * max(map(len, labels))
    with figure(folder, "bpda", width=width, height=height) as drawn:
        panels = np.ravel(drawn.subplots(1, len(norms), sharey=True))
        for axes, norm in zip(panels, norms, strict=True):
            for place, cell in enumerate(shown):
                rows = paired[(paired.cell == cell) & (paired.norm == norm) & paired.log_ratio.notna()]
                ratio = np.exp(rows.log_ratio.to_numpy())
                index = list(cells.cell).index(cell)
                face = ["white" if capped else colour(index) for capped in rows.capped]
                x = place + rng.uniform(-0.25, 0.25, len(ratio))
                axes.scatter(
                    x, ratio, 12, face, marker=marker(index), edgecolors=colour(index), linewidths=0.6, alpha=0.7
                )
                if np.isinf(ratio).any():
                    unbounded(axes, np.array([float(place)]), colour(index))
                elif len(rows):
                    axes.plot([place - 0.35, place + 0.35], [np.exp(rows.log_ratio.mean())] * 2, color="black", lw=2)
            axes.axhline(1, color="black", lw=0.6)
            axes.set_yscale("log")
            plain_numbers(axes.yaxis)
            axes.set_title(f"{norm} norm", fontsize=9)
            axes.set_xticks(range(len(shown)), labels, rotation=60, fontsize=8)
        panels[0].set_ylabel(fill(f"ratio to the {undefended} score of the same image and target class", 40))
        note_below(drawn, "bar: geometric mean of the points; hollow: capped at R, the true ratio is larger")


def _shown(cells: pd.DataFrame) -> pd.DataFrame:
    """The baseline, then the cells with another defense or without BPDA, with labels that omit BPDA."""
    chosen: pd.Series[bool] = (cells.defense != cells.defense.iloc[0]) | ~cells.bpda
    chosen.iloc[0] = True
    labels = [cell_label(json.loads(swept), ("model", "bpda")) for swept in cells.swept]
    names = [label or name for label, name in zip(labels, cells.defense_name, strict=True)]
    return cells.assign(without_bpda=names)[chosen]


FIGURE = Figure(
    {"bpda": "Ratio of each defense's scores to the undefended score of the same image, with BPDA and without"},
    lambda data, folder: draw(folder, data.main_scores, _shown(data.main_cells), baselines(data.main_cells)),
)
