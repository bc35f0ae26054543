"""Convergence of the score with the number of batches, from the saved batch maxima."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clever.extreme_value.estimators import Estimator, end_points
from clever.extreme_value.laws import MIN_BATCHES
from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import colour, figure


def draw(folder: Path, scores: pd.DataFrame, maxima: NDArray[np.float32], estimator: str) -> None:
    """The ratio of the score from N_b batches to that from all, uncapped: median and quartiles over images and targets.

    The sample maximum is shown for comparison. Since only the batch maxima are saved with the scores, `PROFILE` is
    shown instead of an estimator that needs several values per batch.
    """
    if Estimator.parse(estimator).rule.n_largest:
        estimator = Estimator.PROFILE
    total = maxima.shape[1]
    sizes = np.unique(np.geomspace(min(MIN_BATCHES, total), total, 10).round().astype(int))
    norms = list(scores.norm.unique())
    with figure(folder, "convergence", width=3.0 * len(norms), height=3.0) as drawn:
        for axes, norm in zip(np.ravel(drawn.subplots(1, len(norms), sharey=True)), norms, strict=True):
            sample = maxima[(scores.norm == norm).to_numpy()]
            sample = sample[sample.max(1) > 0]
            full = np.array([point.value for point in end_points(sample, estimator)])
            for index, (method, label) in enumerate(
                ((estimator, f"end point ({estimator})"), ("maximum", "sample maximum"))
            ):
                ends = np.array([[point.value for point in end_points(sample[:, :n], method)] for n in sizes])
                low, middle, high = np.quantile(full / ends, [0.25, 0.5, 0.75], axis=1)
                axes.plot(
                    sizes, middle, color=colour(index + 1), marker="os"[index], ls=("-", "--")[index], ms=3, label=label
                )
                axes.fill_between(sizes, low, high, color=colour(index + 1), alpha=0.2, lw=0)
            axes.axhline(1, color="black", lw=0.6)
            axes.set_xscale("log")
            axes.set_xticks(sizes[::3], [str(size) for size in sizes[::3]])
            axes.minorticks_off()
            axes.set_title(f"{norm} norm")
            axes.set_xlabel("number of batches N_b")
        drawn.axes[0].set_ylabel(f"ratio to the score from all {total} batches\n(median, quartiles)")
        drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


def _draw(data: NetworkData, folder: Path) -> None:
    assert data.maxima is not None
    draw(folder, data.baseline_scores, data.maxima, str(data.main_cells.estimator.iloc[0]))


FIGURE = Figure(
    {"convergence": "Convergence of the score with the number of batches"},
    _draw,
    available=lambda data: data.maxima is not None,
)
