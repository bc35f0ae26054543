"""What each kind of score is worth behind each defense: score over the nearest distance found, image by image."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.style import COLOURS, MARKERS, figure, legend_above, note_below, plain_numbers
from pipeline.shared.formats import named

WIDTH = 0.42
"""Inches of a kind of score behind a defense."""


def draw(folder: Path, rows: pd.DataFrame) -> None:
    """A panel a norm; ``rows`` as `by_the_nearest` has them. Drawn where there are several kinds of scores."""
    if rows.kind.nunique() < 2:
        return
    norms, defenses, kinds = (list(rows[name].unique()) for name in ("norm", "defense", "kind"))
    places = [(defense, kind) for defense in defenses for kind in kinds]
    width = max(WIDTH * (len(places) + len(defenses)) + 0.8, 5.4)
    with figure(folder, "evidence", width=width, height=2.5 * len(norms) + 1.1) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(len(norms), 1, sharex=True)), norms, strict=True):
            of_norm = rows[rows.norm == norm]
            for place, (defense, kind) in enumerate(places):
                part = of_norm[(of_norm.defense == defense) & (of_norm.kind == kind)]
                x, which = place + place // len(kinds), kinds.index(kind)
                ratio = (part.score / part.distance)[(part.distance > 0) & np.isfinite(part.distance)]
                spread = x + np.linspace(-0.25, 0.25, len(ratio))
                shade = COLOURS[1 + which % (len(COLOURS) - 1)]
                axes.scatter(spread, ratio, 6, color=shade, marker=MARKERS[which % len(MARKERS)], alpha=0.5, lw=0)
                if len(part):
                    axes.plot(x + np.array([-0.32, 0.32]), [ratio.median()] * 2, color="black", lw=1.4)
                    above = (part.score > part.distance).groupby(part.id).any()
                    note = f"{above.sum()}\nof {len(above)}"
                    axes.annotate(
                        note, (x, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7
                    )
            for which, kind in enumerate(kinds):
                shade = COLOURS[1 + which % (len(COLOURS) - 1)]
                axes.scatter([], [], 20, color=shade, marker=MARKERS[which % len(MARKERS)], label=named(kind))
            axes.axhline(1, color="black", lw=0.6, ls="--")
            axes.set_yscale("log")
            plain_numbers(axes.yaxis)
            axes.set_ylabel(f"score over distance, {norm} norm")
            middles = [index * (len(kinds) + 1) + (len(kinds) - 1) / 2 for index in range(len(defenses))]
            axes.set_xticks(middles, [_short(rows, defense) for defense in defenses])
        legend_above(drawn, axes)
        note_below(
            drawn,
            "above 1: refuted by an adversarial image; at the top: how many images are; bar: median; images at "
            "distance 0 have no point",
        )


def _short(rows: pd.DataFrame, defense: str) -> str:
    """A transformation's name without its settings."""
    return str(rows[rows.defense == defense].transformation.iloc[0]).partition(" (")[0]
