"""The paper's table: scores averaged over images, and their paired ratios to the baseline."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.aggregate.table import Table
from pipeline.shared.stats.pairing import baselines
from pipeline.shared.stats.statistics import log_ratio, mean_interval
from pipeline.shared.text import printed
from pipeline.shared.text.formats import cell_title, number, target_title
from pipeline.shared.text.printed import Column, Printed

GROUP = ["network", "cell", "norm", "target"]


def summarise(
    scores: pd.DataFrame, baseline: dict[str, str], misclassified: dict[str, set[str]], seed: int
) -> pd.DataFrame:
    """One row for each cell, norm and target, in the order of ``scores``.

    ``mean`` with its interval over images, ``median``, ``minimum``, ``images``. ``ratio``: the geometric mean of the
    paired ratios to the cell's ``baseline`` with its interval, over the ``pairs`` of images with the same target class
    in both; ``ratio_all``: over all images that both cells have, ``changed_target`` of them with different target
    classes. A cell without a baseline has no pairs. ``changed_class``: images of the baseline that the cell's
    classifier misclassifies (``misclassified``, by cell); their distance is 0, so they have no ratio.
    ``already_changed``: misclassified images that have a score nevertheless (`clever.Score`), included in all columns.
    ``share_capped``, ``share_raised_to_x0``, ``share_on_path``, ``share_fit_failed``, ``share_unbounded``,
    ``share_degenerate``: shares of the scores. The unit of all 95 % intervals is the image; an unbounded score makes
    the mean and the ratio infinite.
    """
    by_cell = {cell: group for cell, group in scores.groupby("cell")}
    rows = []
    for (network, cell, norm, target), group in scores.groupby(GROUP, sort=False):
        reference = by_cell[baseline[str(cell)]] if str(cell) in baseline else group.head(0)
        reference = reference[(reference.norm == norm) & (reference.target == target)]
        both = group.merge(reference, on="id", suffixes=("", "_reference"))
        ratios = log_ratio(both.score, both.score_reference)
        same = (both.predicted == both.predicted_reference) & (both.target_class == both.target_class_reference)
        low, high = mean_interval(group.score, seed)
        rows.append(
            {
                "network": network,
                "cell": cell,
                "norm": norm,
                "target": target,
                "images": len(group),
                "mean": group.score.mean(),
                "mean_low": low,
                "mean_high": high,
                "median": group.score.median(),
                "minimum": group.score.min(),
                **_geometric("ratio", ratios[same & ~np.isnan(ratios)], seed),
                "pairs": int((same & ~np.isnan(ratios)).sum()),
                **_geometric("ratio_all", ratios[~np.isnan(ratios)], seed),
                "changed_target": int((~same).sum()),
                "changed_class": len(misclassified.get(str(cell), set()) & set(reference.id)),
                "already_changed": int(group.already_changed.sum()),
                "share_capped": group.capped.mean(),
                "share_raised_to_x0": group.raised_to_x0.mean(),
                "share_on_path": group.on_path.mean(),
                "share_fit_failed": group.end_point_fit_failed.mean(),
                "share_unbounded": group.end_point_unbounded.mean(),
                "share_degenerate": group.end_point_degenerate.mean(),
            }
        )
    return pd.DataFrame(rows)


def _geometric(name: str, ratios: NDArray[np.float64], seed: int) -> dict[str, float]:
    """The geometric mean with its interval, from log ratios, one per image."""
    low, high = np.exp(mean_interval(ratios, seed))
    return {name: np.exp(ratios.mean()) if len(ratios) else np.nan, f"{name}_low": low, f"{name}_high": high}


TABLE = Table(
    "summary",
    lambda data: summarise(
        data.scores,
        baselines(data.cells),
        {cell: set(data.runs[cell]["misclassified"]) for cell in data.cells.cell},
        data.seed,
    ),
    printed=Printed(
        "",
        (
            Column("cell", "cell", cell_title),
            Column("target", "target", target_title),
            printed.interval("mean", "mean"),
            Column("median", "median", number),
            Column("minimum", "minimum", number),
            printed.interval("ratio", "ratio"),
            Column("pairs", "pairs"),
            printed.interval("ratio, all", "ratio_all"),
            Column("other target", "changed_target"),
            Column("other class", "changed_class"),
            Column("other class, scored", "already_changed"),
            Column("capped", "share_capped", "{:.0%}".format),
            Column("raised to x0", "share_raised_to_x0", "{:.0%}".format),
            Column("fit failed", "share_fit_failed", "{:.0%}".format),
            Column("images", "images"),
        ),
        by_network_and_norm=True,
    ),
)
