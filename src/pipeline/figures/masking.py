"""Gradient masking: each defense's scores with BPDA and without, compared with the attack's distance."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, figure, legend_above, logarithmic, note_below, unbounded
from pipeline.shared.text.formats import cell_title

SHOWN = (
    ("score with BPDA", COLOURS[1], "o"),
    ("score without BPDA", COLOURS[5], "D"),
    ("smallest adversarial distance found", COLOURS[2], "s"),
)


def draw(folder: Path, rows: pd.DataFrame, pairs: list[tuple[str, str]]) -> None:
    """One panel per norm; ``pairs``: cells of one defense with BPDA and without. Draws nothing if there are none."""
    if not pairs:
        return
    norms = list(rows.norm.unique())
    with figure(folder, "masking", width=3.3 * len(norms), height=3.9) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(1, len(norms))), norms, strict=True):
            for place, (with_bpda, masked) in enumerate(pairs):
                by_cell = {cell: rows[(rows.cell == cell) & (rows.norm == norm)] for cell in (with_bpda, masked)}
                values = (by_cell[with_bpda].score, by_cell[masked].score, by_cell[with_bpda].distance)
                for step, (value, (_, shade, shape)) in enumerate(zip(values, SHOWN, strict=True)):
                    x = place + (step - 1) * 0.26 + np.linspace(-0.07, 0.07, len(value))
                    axes.scatter(x, value.where(np.isfinite(value)), 5, color=shade, marker=shape, alpha=0.45, lw=0)
                    if np.isinf(value).any():
                        unbounded(axes, np.array([place + (step - 1) * 0.26]), shade)
                    middle = value[np.isfinite(value)].median()
                    axes.plot(place + (step - 1) * 0.26 + np.array([-0.11, 0.11]), [middle] * 2, color=shade, lw=2)
                above, total = int(by_cell[masked].above_distance.sum()), len(by_cell[masked])
                top = 1.0 if above else 0.93
                note = f"✗ {above} of {total}\nabove" if above else "none above"
                axes.annotate(
                    note, (place, top), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7
                )
            shown = rows[(rows.norm == norm) & rows.cell.isin([cell for pair in pairs for cell in pair])]
            logarithmic(axes, shown[["score", "distance"]].to_numpy())
            axes.set_ylabel(f"{norm} norm ([0,1] pixel units)")
            axes.set_xticks(range(len(pairs)), [cell_title(cell) for cell, _ in pairs], rotation=30, fontsize=8)
        for label, shade, shape in SHOWN:
            axes.scatter([], [], 20, color=shade, marker=shape, label=label)
        legend_above(drawn, axes)
        note_below(drawn, "✗: scores without BPDA above the distance of an adversarial image; bar: median")


def _with_and_without(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """For each defense its cell with BPDA and its cell without."""
    without = cells[~cells.bpda].drop_duplicates("defense").set_index("defense").cell
    with_bpda = cells[cells.bpda].drop_duplicates("defense")
    defenses = zip(with_bpda.cell, with_bpda.defense, strict=True)
    return [(cell, without[defense]) for cell, defense in defenses if defense in without]


FIGURE = Figure(
    {"masking": "Gradient masking: scores with BPDA and without, and the smallest adversarial distance found"},
    lambda data, folder: draw(
        folder, data.main_scores[data.main_scores.distance.notna()], _with_and_without(data.main_cells)
    ),
)
