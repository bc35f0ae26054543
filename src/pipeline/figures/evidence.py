"""What each kind of score is worth behind each defense: score over the nearest distance found, image by image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, legend_above, marker, note_below, plain_numbers
from pipeline.shared.stats.pairing import with_nearest_distances
from pipeline.shared.text.formats import cell_title

WIDTH = 0.42
"""Inches of a kind of score behind a defense."""


def draw(folder: Path, rows: pd.DataFrame, evidence: pd.DataFrame, names: Mapping[str, str]) -> None:
    """A panel a norm, the first cell of each kind and defense. Drawn where there are several kinds of scores.

    ``rows``: from `with_nearest_distances`; ``evidence``: the table of that name, whose counts and medians are shown;
    ``names``: of each defense.
    """
    if rows.kind.nunique() < 2:
        return
    norms, defenses, kinds = (list(rows[name].unique()) for name in ("norm", "defense", "kind"))
    cells = rows.drop_duplicates(["defense", "kind"])
    stand = len(kinds) + 1  # the places of a defense, and one between
    width = max(WIDTH * stand * len(defenses) + 0.8, 5.4)
    with figure(folder, "evidence", width=width, height=2.5 * len(norms) + 1.1) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(len(norms), 1, sharex=True)), norms, strict=True):
            worth = evidence[evidence.norm == norm].set_index("cell")
            for cell in cells.itertuples():
                part, which = rows[(rows.cell == cell.cell) & (rows.norm == norm)], kinds.index(cell.kind)
                x, told = defenses.index(cell.defense) * stand + which, worth.loc[cell.cell]
                ratio = (part.score / part.distance)[(part.distance > 0) & np.isfinite(part.distance)]
                spread = x + np.linspace(-0.25, 0.25, len(ratio))
                axes.scatter(spread, ratio, 6, color=colour(1 + which), marker=marker(which), alpha=0.5, lw=0)
                axes.plot(x + np.array([-0.32, 0.32]), [told.median_ratio] * 2, color="black", lw=1.4)
                note = f"{told.count_above}\nof {told.images}"
                axes.annotate(note, (x, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7)
            for which, kind in enumerate(kinds):
                axes.scatter([], [], 20, color=colour(1 + which), marker=marker(which), label=cell_title(kind))
            axes.axhline(1, color="black", lw=0.6, ls="--")
            axes.set_yscale("log")
            plain_numbers(axes.yaxis)
            axes.set_ylabel(f"score over distance, {norm} norm")
            middles = [index * stand + (len(kinds) - 1) / 2 for index in range(len(defenses))]
            axes.set_xticks(middles, [cell_title(names[defense]) for defense in defenses])
        legend_above(drawn, axes)
        note_below(
            drawn,
            "above 1: refuted by an adversarial image; at the top: how many images are; bar: median; images at "
            "distance 0 have no point",
        )


def _names(cells: pd.DataFrame) -> dict[str, str]:
    """The name of each defense."""
    return dict(zip(cells.defense, cells.defense_name, strict=True))


FIGURE = Figure(
    {"evidence": "Each kind of score over the nearest distance found, behind each defense: above 1 it is refuted"},
    lambda data, folder: draw(
        folder,
        with_nearest_distances(data.scores, data.cells[data.cells.bpda]),
        data.rows("evidence"),
        _names(data.cells),
    ),
)
