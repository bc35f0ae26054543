"""Networks beside each other: does CLEVER order them as attacks do?"""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.figures.style import COLOURS, MARKERS, figure, legend_above, logarithmic
from pipeline.shared.formats import named, of_target

DISTANCE = "smallest adversarial distance found"


def draw(folder: Path, networks: pd.DataFrame, agreement: pd.DataFrame) -> None:
    """A panel a norm and target: of each network the geometric means of distances and of each kind of score.

    ``networks``, ``agreement``: tables of the stage aggregate; without any rows nothing is drawn.
    """
    panels = list(networks.groupby(["norm", "target"], sort=False)) if len(networks) else []
    if not panels:
        return
    names, kinds = list(networks.network.unique()), list(networks.kind.unique())
    with figure(folder, "networks", width=max(3.3 * len(panels), 5.4), height=3.8) as drawn:
        for axes, ((norm, target), part) in zip(np.ravel(drawn.subplots(1, len(panels))), panels, strict=True):
            for place, kind in enumerate(kinds):
                rows = part[part.kind == kind]
                x = rows.network.map(names.index) + (place - (len(kinds) - 1) / 2) * 0.16
                shade = COLOURS[(1, 3, 4, 5)[place % 4]]
                axes.errorbar(
                    x, rows.score, _bars(rows, "score"), fmt=MARKERS[place % len(MARKERS)],
                    color=shade, ms=5, lw=1, capsize=2, label=f"CLEVER, {named(kind)}",
                )  # fmt: skip
                # where kinds share an attack, once; else above the score that it is an upper bound of
                first = ~part[["network", "distance"]].duplicated()[part.kind == kind]
                axes.errorbar(
                    x[first], rows.distance[first], _bars(rows[first], "distance"), fmt="_",
                    color=COLOURS[2], ms=9, mew=2, lw=1, capsize=2,
                )  # fmt: skip
            axes.errorbar([], [], [], fmt="_", color=COLOURS[2], ms=9, mew=2, lw=1, capsize=2, label=DISTANCE)
            logarithmic(axes, part[["score", "distance"]].to_numpy())
            axes.set_xticks(range(len(names)), [named(name) for name in names], rotation=20, ha="right", fontsize=8)
            axes.set_ylabel(f"geometric mean over images,\n{norm} norm ([0,1] pixel units)")
            of_panel = agreement[(agreement.norm == norm) & (agreement.target == target)]
            of_panel = of_panel[of_panel.tau.notna()]
            taus = ", ".join(f"{row.tau:.2f} ({named(str(row.kind))})" for row in of_panel.itertuples())
            taus = textwrap.fill(f"tau, image by image: {taus}", 40)
            axes.set_title(f"{norm}, {of_target(target)}\n{taus}", fontsize=8)
        legend_above(drawn, axes)


def _bars(rows: pd.DataFrame, of: str) -> NDArray[np.float64]:
    """The lengths of the error bars, below and above."""
    low, high = (rows[f"{of}_{end}"].to_numpy(np.float64) for end in ("low", "high"))
    lengths: NDArray[np.float64] = np.abs(np.stack([low, high]) - rows[of].to_numpy(np.float64))
    return lengths
