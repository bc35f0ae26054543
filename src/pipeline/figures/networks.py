"""Comparison of networks: does CLEVER order them as attacks do?"""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, MARKERS, figure, legend_above, logarithmic
from pipeline.shared.text.formats import cell_title, target_title

DISTANCE = "smallest adversarial distance found"
APART = 0.16
"""Spacing of the markers of one network, on an axis where networks are 1 apart."""
BAR: dict[str, Any] = {"marker": "_", "ms": 9, "mew": 2}
"""The marker of a distance."""


def draw(folder: Path, networks: pd.DataFrame, agreement: pd.DataFrame) -> None:
    """One panel per norm and target: each network's geometric means of distances and of each kind of score.

    A distance shared by all kinds is drawn once, next to them; otherwise each is drawn to the right of its score.
    ``networks``, ``agreement``: tables of the stage aggregate. Draws nothing if they are empty.
    """
    panels = list(networks.groupby(["norm", "target"], sort=False)) if len(networks) else []
    if not panels:
        return
    names, kinds = list(networks.network.unique()), list(networks.kind.unique())
    with figure(folder, "networks", width=max(3.3 * len(panels), 5.4), height=3.8) as drawn:
        for axes, ((norm, target), part) in zip(np.ravel(drawn.subplots(1, len(panels))), panels, strict=True):
            shared = (part.groupby("network").distance.nunique() <= 1).all()
            first = -(len(kinds) + shared - 1) / 2 * APART
            for place, kind in enumerate(kinds):
                rows = part[part.kind == kind]
                x = rows.network.map(names.index) + first + place * APART
                _scores(axes, x, rows, place, cell_title(kind))
                if not shared:
                    _distances(axes, x + APART / 3, rows, _shade(place))
            if shared:
                rows = part[part.distance.notna()].drop_duplicates("network")
                _distances(axes, rows.network.map(names.index) + first + len(kinds) * APART, rows, COLOURS[2])
            note = "" if shared else ", in the score's colour"
            axes.plot([], [], color=COLOURS[2] if shared else "black", ls="", label=DISTANCE + note, **BAR)
            logarithmic(axes, part[["score", "distance"]].to_numpy())
            axes.set_xticks(
                range(len(names)), [cell_title(name) for name in names], rotation=20, ha="right", fontsize=8
            )
            axes.set_ylabel(f"geometric mean over images,\n{norm} norm ([0,1] pixel units)")
            panel_taus = agreement[(agreement.norm == norm) & (agreement.target == target) & agreement.tau.notna()]
            taus = ", ".join(f"{row.tau:.2f} ({cell_title(str(row.kind))})" for row in panel_taus.itertuples())
            taus = textwrap.fill(f"mean tau per image: {taus}", 40)
            axes.set_title(f"{norm}, {target_title(target)}\n{taus}", fontsize=8)
        legend_above(drawn, axes)


def _scores(axes: Axes, x: pd.Series, rows: pd.DataFrame, place: int, label: str) -> None:
    shape, shade = MARKERS[place % len(MARKERS)], _shade(place)
    axes.errorbar(
        x, rows.score, _bars(rows, "score"), fmt=shape, color=shade, ms=5, lw=1, capsize=2, label=f"CLEVER, {label}"
    )


def _distances(axes: Axes, x: pd.Series, rows: pd.DataFrame, shade: str) -> None:
    """Draws distances with dotted intervals, to distinguish them from scores."""
    drawn = axes.errorbar(
        x, rows.distance, _bars(rows, "distance"), color=shade, ls="", lw=1, capsize=2, capthick=1, **BAR
    )
    drawn[2][0].set_linestyle(":")


def _shade(place: int) -> str:
    return COLOURS[(1, 3, 4, 5)[place % 4]]


def _bars(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """The lengths of the error bars below and above the values, as an array (2, row)."""
    low, high = (rows[f"{column}_{end}"].to_numpy(np.float64) for end in ("low", "high"))
    lengths: NDArray[np.float64] = np.abs(np.stack([low, high]) - rows[column].to_numpy(np.float64))
    return lengths


FIGURE = Figure(
    {"networks": "Comparison of networks: CLEVER, and the smallest adversarial distance found"},
    lambda data, folder: draw(folder, data.files.table("networks"), data.files.table("agreement")),
    whole_experiment=True,
)
