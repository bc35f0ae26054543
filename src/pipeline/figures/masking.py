"""Gradient masking made visible: each defense's score with BPDA and without, beside the attack's distance."""

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
    """A panel a norm; ``pairs``: the cells of one defense with BPDA and without. Without any pair, nothing is drawn."""
    if not pairs:
        return
    norms = list(rows.norm.unique())
    with figure(folder, "masking", width=3.3 * len(norms), height=3.9) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(1, len(norms))), norms, strict=True):
            for place, (straight, masked) in enumerate(pairs):
                of_cell = {cell: rows[(rows.cell == cell) & (rows.norm == norm)] for cell in (straight, masked)}
                values = (of_cell[straight].score, of_cell[masked].score, of_cell[straight].distance)
                for step, (value, (_, shade, shape)) in enumerate(zip(values, SHOWN, strict=True)):
                    x = place + (step - 1) * 0.26 + np.linspace(-0.07, 0.07, len(value))
                    axes.scatter(x, value.where(np.isfinite(value)), 5, color=shade, marker=shape, alpha=0.45, lw=0)
                    if np.isinf(value).any():
                        unbounded(axes, np.array([place + (step - 1) * 0.26]), shade)
                    middle = value[np.isfinite(value)].median()
                    axes.plot(place + (step - 1) * 0.26 + np.array([-0.11, 0.11]), [middle] * 2, color=shade, lw=2)
                above, total = int(of_cell[masked].above_distance.sum()), len(of_cell[masked])
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


def _with_and_without(about: pd.DataFrame) -> list[tuple[str, str]]:
    """The cells of each defense with BPDA and without."""
    of_defense = about[~about.bpda].drop_duplicates("defense").set_index("defense").cell
    straight = about[about.bpda].drop_duplicates("defense")
    defenses = zip(straight.cell, straight.defense, strict=True)
    return [(cell, of_defense[defense]) for cell, defense in defenses if defense in of_defense]


FIGURE = Figure(
    {"masking": "Gradient masking: scores with BPDA and without, beside the distance of adversarial images"},
    lambda data, folder: draw(
        folder, data.main_scores[data.main_scores.distance.notna()], _with_and_without(data.main_cells)
    ),
)
