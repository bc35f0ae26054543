"""Second order compared with first order: scores, gain, and cost."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure, legend_above, marker, note_below, plain_numbers
from pipeline.shared.text.formats import cell_title


def draw(folder: Path, both: pd.DataFrame) -> None:
    """One row of panels per norm; points are images and target classes, hollow if the second-order score is capped.

    ``both``: from `pipeline.aggregate.comparison.pairs`; the first cell of each network is shown. Draws nothing if it
    is empty.
    """
    if not len(both):
        return
    first = both.drop_duplicates("network")
    both, cells, names = both[both.cell.isin(first.cell)], list(first.cell), list(first.network.map(cell_title))
    norms = list(both.norm.unique())
    with figure(folder, "orders", width=9.6, height=3.9 * len(norms)) as drawn:
        grid = drawn.subplots(len(norms), 3, squeeze=False, width_ratios=(1.15, 1, 1))
        for norm, (scores, gain, cost) in zip(norms, grid, strict=True):
            norm_rows = both[both.norm == norm]
            for index, cell in enumerate(cells):
                rows = norm_rows[norm_rows.cell == cell]
                face = ["none" if capped else colour(index) for capped in rows.capped]
                style = {"c": face, "edgecolors": colour(index), "marker": marker(index), "linewidths": 0.7}
                place, ratio = index + np.linspace(-0.25, 0.25, len(rows)), rows.second / rows["first"]
                scores.scatter(rows["first"], rows.second, 16, **style)
                scores.scatter([], [], 16, color=colour(index), marker=marker(index), label=names[index])
                gain.scatter(place, ratio, 12, **style)
                cost.scatter(place, rows["products"], 12, **style)
                for axes, mean in ((gain, np.exp(np.log(ratio).mean())), (cost, rows["products"].mean())):
                    axes.plot([index - 0.35, index + 0.35], [mean, mean], color="black", lw=1.5)
            _label_scores(scores, norm_rows, norm)
            gain.axhline(1, color="black", lw=0.6)
            gain.set_yscale("log")
            plain_numbers(gain.yaxis)
            gain.set_ylabel(f"second order / first order, {norm} norm")
            cost.set_ylim(bottom=0)
            cost.set_ylabel("Hessian-vector products per point")
            for axes in (gain, cost):
                axes.set_xticks(range(len(cells)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
        legend_above(drawn, grid[0, 0])
        note = "each point is an image and target class; hollow: capped at R; bar: mean (geometric for the ratio)"
        note_below(drawn, note)


def _label_scores(axes: Axes, rows: pd.DataFrame, norm: str) -> None:
    values = rows[["first", "second"]].to_numpy()
    low, high = values[values > 0].min() * 0.8, values.max() * 1.25
    axes.plot([low, high], [low, high], color="black", lw=0.6)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    plain_numbers(axes.xaxis, axes.yaxis)
    axes.set_xlabel(f"first order, {norm} norm ([0,1] pixel units)")
    axes.set_ylabel(f"second order, {norm} norm ([0,1] pixel units)")


FIGURE = Figure(
    {"orders": "Second-order and first-order scores, for twice differentiable networks"},
    lambda data, folder: draw(folder, data.files.table("order_pairs")),
    whole_experiment=True,
)
