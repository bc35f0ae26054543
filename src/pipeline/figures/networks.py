"""Networks beside each other: does CLEVER order them as attacks do?"""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.style import COLOURS, MARKERS, figure, legend_above, logarithmic
from pipeline.shared.formats import named, of_target


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
            series = [(of, part[part.kind == of], "score", f"CLEVER, {named(of)}") for of in kinds]
            series += [("", part.drop_duplicates("network"), "distance", "smallest adversarial distance found")]
            for place, (_, rows, of, label) in enumerate(series):
                x = rows.network.map(names.index) + (place - (len(series) - 1) / 2) * 0.16
                bars = np.abs(rows[[f"{of}_low", f"{of}_high"]].to_numpy().T - rows[of].to_numpy())
                shade = COLOURS[2] if of == "distance" else COLOURS[(1, 3, 4, 5)[place % 4]]
                axes.errorbar(
                    x,
                    rows[of],
                    bars,
                    fmt=MARKERS[place % len(MARKERS)],
                    color=shade,
                    ms=5,
                    lw=1,
                    capsize=2,
                    label=label,
                )
            logarithmic(axes, part[["score", "distance"]].to_numpy())
            axes.set_xticks(range(len(names)), [named(name) for name in names], rotation=20, ha="right", fontsize=8)
            axes.set_ylabel(f"{norm} norm ([0,1] pixel units)")
            of_panel = agreement[(agreement.norm == norm) & (agreement.target == target)]
            taus = ", ".join(f"{row.tau:.2f} ({named(str(row.kind))})" for row in of_panel.itertuples())
            taus = textwrap.fill(f"tau, image by image: {taus}", 50)
            axes.set_title(f"{norm}, {of_target(target)}\n{taus}", fontsize=8)
        legend_above(drawn, axes)
