"""CLEVER by defense and target class, with the smallest adversarial distances found."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, legend_above, marker, note_below, plain_numbers, unbounded
from pipeline.shared.text.formats import TARGETS, cell_title


def draw(folder: Path, summary: pd.DataFrame, bounds: pd.DataFrame) -> None:
    """One panel per norm: means over images with their intervals; hollow if some scores are capped at the radius.

    A bar in the cell's colour above or below its marker shows the mean smallest adversarial distance from ``bounds``.
    ``bounds`` should exclude cells without BPDA: their distances are the same, but over fewer images.
    """
    norms, cells, targets = (list(summary[name].unique()) for name in ("norm", "cell", "target"))
    apart = min(0.12, 0.8 / len(cells))  # so that targets stay apart
    distances = bounds.set_index(["norm", "cell", "target"]).distance
    with figure(folder, "scores", width=3.2 * len(norms), height=3.6) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(1, len(norms))), norms, strict=True):
            for index, cell in enumerate(cells):
                rows = summary[(summary.norm == norm) & (summary.cell == cell)].set_index("target")
                x = np.array([targets.index(target) for target in rows.index]) + (index - (len(cells) - 1) / 2) * apart
                rows[~np.isfinite(rows["mean"])] = rows[~np.isfinite(rows["mean"])].replace(np.inf, np.nan)
                bars = np.maximum([rows["mean"] - rows.mean_low, rows.mean_high - rows["mean"]], 0)
                axes.errorbar(x, rows["mean"], bars, fmt="none", ecolor=colour(index), elinewidth=1, capsize=2)
                hollow = rows.share_capped.to_numpy() > 0
                face = ["white" if capped else colour(index) for capped in hollow]
                axes.scatter(x, rows["mean"], 28, face, marker=marker(index), edgecolors=colour(index), zorder=3)
                unbounded(axes, x[~np.isfinite(rows["mean"])], colour(index))
                means = [distances.get((norm, cell, target), np.nan) for target in rows.index]
                for style in ({"color": "white", "lw": 3.6}, {"color": colour(index), "lw": 2}):  # outlined in white
                    axes.hlines(means, x - apart * 0.45, x + apart * 0.45, zorder=4, **style)
                axes.plot([], [], marker(index), color=colour(index), label=cell_title(cell))
            axes.set_yscale("log")
            axes.set_xticks(range(len(targets)), [TARGETS.get(target, f"class {target}") for target in targets])
            axes.set_xlabel("target class")
            axes.set_ylabel(f"mean CLEVER,\n{norm} norm ([0,1] pixel units)")
            plain_numbers(axes.yaxis)
        legend_above(drawn, axes)
        note_below(
            drawn,
            "mean over images, 95 % bootstrap interval; hollow: some scores capped at the radius R; "
            "bar: mean smallest adversarial distance found, for norms, targets and cells that were attacked",
        )


def _draw(data: NetworkData, folder: Path) -> None:
    summary, bounds = data.rows("summary"), data.rows("bounds")
    shown = summary[summary.cell.isin(data.main_cells.cell)]
    draw(folder, shown, bounds[bounds.cell.isin(data.with_gradients)])


FIGURE = Figure(
    {"scores": "CLEVER and the smallest adversarial distance found, by defense and target class"},
    _draw,
)
