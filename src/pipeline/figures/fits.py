"""The reverse Weibull distribution fitted to the batch maxima of example images."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import weibull_max

from clever.extreme_value.goodness import goodness_of_fit
from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import COLOURS, figure

EXAMPLES = 3


def draw(folder: Path, scores: pd.DataFrame, maxima: NDArray[np.float32]) -> None:
    """Rows: the first images of a cell, for their first target. Columns: norms. ``maxima``: array (score, N_b).

    Each title has the Kolmogorov-Smirnov p-value and the parametric bootstrap p-values (`clever.goodness_of_fit`) of
    the Kolmogorov-Smirnov and Anderson-Darling statistics and of a distribution without a finite end point.
    """
    scores = scores.reset_index(drop=True)
    first = scores[scores.target == scores.target.iloc[0]]
    images, norms = list(first.id.unique()[:EXAMPLES]), list(first.norm.unique())
    with figure(folder, "fits", width=3.3 * len(norms) + 0.3, height=2.6 * len(images)) as drawn:
        grid = drawn.subplots(len(images), len(norms), squeeze=False)
        for (i, image), (j, norm) in ((a, b) for a in enumerate(images) for b in enumerate(norms)):
            row = first[(first.id == image) & (first.norm == norm)].iloc[0]
            axes, sample = grid[i, j], maxima[row.name]
            axes.hist(
                sample.astype(np.float64),
                bins=1 if row.end_point_degenerate else "auto",
                density=True,
                color="#C8C8C8",
                edgecolor="#707070",
                label="batch maxima",
            )
            if np.isfinite(row.end_point_shape):
                weibull = weibull_max(row.end_point_shape, row.end_point, row.end_point_scale)
                # excludes the end point itself, where the density is infinite if the shape is below 1
                x = np.linspace(sample.min(), row.end_point, 400, endpoint=False)
                axes.plot(x, weibull.pdf(x), color=COLOURS[1], label="reverse Weibull density")
            smallest = float(sample.min())
            # a margin that separates the end point's line from the edge, where an unbounded interval is cut off
            right = row.end_point + 0.15 * (row.end_point - smallest)
            if row.end_point_high > row.end_point_low:
                until = min(row.end_point_high, right)
                band = {"facecolor": "#F9E6D9", "edgecolor": "#E0B090", "hatch": "////", "lw": 0, "zorder": 0}
                axes.axvspan(row.end_point_low, until, **band, label="95 % interval")
            axes.axvline(row.end_point_sample_maximum, color="black", ls=":", label="sample maximum")
            axes.axvline(row.end_point, color=COLOURS[2], ls="--", label="estimated end point")
            if right > smallest:
                axes.set_xlim(right=right)
            axes.set_title(
                f"{PurePosixPath(image).name}, class {row.predicted} to {row.target_class}\n"
                f"{norm} score {row.score:.3g}\n{_fit(row, sample)}",
                fontsize=8,
            )
            dual = {"L1": "L∞", "L2": "L2", "Linf": "L1"}[norm]
            axes.set_xlabel(f"{dual} norm of ∇g (logits per pixel unit)")
            axes.set_ylabel("density")
        parts = [axes.get_legend_handles_labels() for axes in grid.flat]
        named = {label: handle for handles, labels in parts for handle, label in zip(handles, labels, strict=True)}
        drawn.legend(named.values(), named.keys(), loc="outside upper center", ncols=int(1.7 * len(norms)))


def _fit(row: "pd.Series[Any]", maxima: NDArray[np.float32]) -> str:
    """The fit's parameters and p-values, as lines of the title."""
    if row.end_point_degenerate:
        return "all maxima equal"
    if row.end_point_fit_failed:
        return (
            "fit failed: many maxima equal"
            if row.end_point_discrete
            else f"fit failed: K-S p {row.end_point_ks_pvalue:.2g}"
        )
    if np.isnan(row.end_point_shape):
        return "sample maximum"
    end = (row.end_point, row.end_point_low, np.inf if row.end_point_unbounded else row.end_point_high)
    point, low, high = (f"{value:.4g}" if value < 1e4 else "∞" if value == np.inf else f"{value:.0f}" for value in end)
    good = goodness_of_fit(maxima, np.random.default_rng(0))
    return (
        f"shape {row.end_point_shape:.3g}, K-S p {row.end_point_ks_pvalue:.2g}\n"
        f"bootstrap p: K-S {good.ks_pvalue:.2g}, A-D {good.ad_pvalue:.2g}\n"
        f"end point {point} ({low} to {high}), none: p {good.bounded_pvalue:.2g}"
    )


def _draw(data: NetworkData, folder: Path) -> None:
    assert data.maxima is not None
    draw(folder, data.baseline_scores, data.maxima)


FIGURE = Figure(
    {"fits": "The reverse Weibull distribution fitted to the batch maxima of example images"},
    _draw,
    available=lambda data: data.maxima is not None,
)
