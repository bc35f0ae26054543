"""Quality of each kind of score for each defense: the ratio of score to smallest distance found, for each image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, legend_above, marker, note_below, plain_numbers
from pipeline.shared.stats.pairing import with_nearest_distances
from pipeline.shared.text.formats import cell_title

WIDTH = 0.42
"""Width in inches for one kind of score of one defense."""


def draw(folder: Path, rows: pd.DataFrame, evidence: pd.DataFrame, names: Mapping[str, str]) -> None:
    """One panel per norm, with the first cell of each kind and defense. Draws nothing for a single kind of score.

    ``rows``: from `by_the_nearest`; ``evidence``: the rows of evidence.csv, for counts and medians; ``names``: the name
    of each defense.
    """
    if rows.kind.nunique() < 2:
        return
    norms, defenses, kinds = (list(rows[name].unique()) for name in ("norm", "defense", "kind"))
    cells = rows.drop_duplicates(["defense", "kind"])
    slots = len(kinds) + 1  # x positions for each defense, including a gap
    width = max(WIDTH * slots * len(defenses) + 0.8, 5.4)
    with figure(folder, "evidence", width=width, height=2.5 * len(norms) + 1.1) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(len(norms), 1, sharex=True)), norms, strict=True):
            by_cell = evidence[evidence.norm == norm].set_index("cell")
            for cell in cells.itertuples():
                part, index = rows[(rows.cell == cell.cell) & (rows.norm == norm)], kinds.index(cell.kind)
                x, row = defenses.index(cell.defense) * slots + index, by_cell.loc[cell.cell]
                ratio = (part.score / part.distance)[(part.distance > 0) & np.isfinite(part.distance)]
                spread = x + np.linspace(-0.25, 0.25, len(ratio))
                axes.scatter(spread, ratio, 6, color=colour(1 + index), marker=marker(index), alpha=0.5, lw=0)
                axes.plot(x + np.array([-0.32, 0.32]), [row.median_ratio] * 2, color="black", lw=1.4)
                note = f"{row.count_above}\nof {row.images}"
                axes.annotate(note, (x, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7)
            for index, kind in enumerate(kinds):
                axes.scatter([], [], 20, color=colour(1 + index), marker=marker(index), label=cell_title(kind))
            axes.axhline(1, color="black", lw=0.6, ls="--")
            axes.set_yscale("log")
            plain_numbers(axes.yaxis)
            axes.set_ylabel(f"score / distance, {norm} norm")
            middles = [index * slots + (len(kinds) - 1) / 2 for index in range(len(defenses))]
            axes.set_xticks(middles, [cell_title(names[defense]) for defense in defenses])
        legend_above(drawn, axes)
        note_below(
            drawn,
            "above 1: refuted by an adversarial image; at the top: number of images with a refuted score; bar: median; "
            "images at distance 0 are not shown",
        )


def _names(cells: pd.DataFrame) -> dict[str, str]:
    """The short name of each defense."""
    return dict(zip(cells.defense, cells.defense_name, strict=True))


FIGURE = Figure(
    {"evidence": "Score / smallest distance found, for each kind of score and defense; scores above 1 are refuted"},
    lambda data, folder: draw(
        folder,
        with_nearest_distances(data.scores, data.cells[data.cells.bpda]),
        data.rows("evidence"),
        _names(data.cells),
    ),
)
