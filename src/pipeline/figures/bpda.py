"""Each defense's scores beside the undefended ones, image by image, with BPDA and without."""

from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd

from pipeline.figures.style import colour, figure, marker, note_below, plain_numbers, unbounded
from pipeline.shared.formats import named
from pipeline.shared.pairing import PAIR


def draw(folder: Path, scores: pd.DataFrame, cells: pd.DataFrame, baseline: str) -> None:
    """A panel a norm: the paired ratio to the baseline of every image and target; hollow where capped at the radius.

    Without any cell but the baseline, nothing is drawn.
    """
    shown = [cell for cell in cells.cell if cell != baseline]
    if not shown:
        return
    bpda = dict(zip(cells.cell, cells.bpda, strict=True))
    labels = [
        named(cell) if "bpda" in cell else f"{named(cell)}\n({'with' if bpda[cell] else 'no'} BPDA)" for cell in shown
    ]
    norms = list(scores.norm.unique())
    reference = scores[scores.cell == baseline].set_index(PAIR).score.rename("reference")
    rng = np.random.default_rng(0)
    with figure(folder, "bpda", width=3.2 * len(norms), height=3.6) as drawn:
        panels = np.ravel(drawn.subplots(1, len(norms), sharey=True))
        for axes, norm in zip(panels, norms, strict=True):
            for place, cell in enumerate(shown):
                rows = scores[(scores.cell == cell) & (scores.norm == norm)]
                rows = rows.set_index(PAIR).join(reference, how="inner")
                ratio = (rows.score / rows.reference).to_numpy()
                index = list(cells.cell).index(cell)
                face = ["white" if capped else colour(index) for capped in rows.capped]
                x = place + rng.uniform(-0.25, 0.25, len(ratio))
                axes.scatter(
                    x, ratio, 12, face, marker=marker(index), edgecolors=colour(index), linewidths=0.6, alpha=0.7
                )
                if np.isinf(ratio).any():
                    unbounded(axes, np.array([float(place)]), colour(index))
                elif (ratio > 0).all():
                    axes.plot([place - 0.35, place + 0.35], [np.exp(np.log(ratio).mean())] * 2, color="black", lw=2)
            axes.axhline(1, color="black", lw=0.6)
            axes.set_yscale("log")
            plain_numbers(axes.yaxis)
            axes.set_title(f"{norm} norm", fontsize=9)
            axes.set_xticks(range(len(shown)), labels, rotation=60, fontsize=8)
        panels[0].set_ylabel(fill(f"score over the {named(baseline)} score of the same image and target class", 40))
        note_below(drawn, "bar: geometric mean of the points; hollow: capped at R, the true ratio is larger")
