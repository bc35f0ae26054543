"""CLEVER beside the smallest adversarial distance found: an estimate of a lower bound, and an upper bound."""

import numpy as np
import pandas as pd

from clever.errors import InputError
from pipeline.aggregate.refuted import refuted
from pipeline.aggregate.summary import GROUP
from pipeline.aggregate.table import Table
from pipeline.shared.stats.statistics import log_ratio, mean_interval, rank_correlation
from pipeline.shared.text import printed
from pipeline.shared.text.formats import cell_title, correlation, number, percentage, shares, target_title
from pipeline.shared.text.printed import Column, Printed

KEY = ["cell", "id", "predicted", "norm", "target"]
"""What a score and a distance must have in common to be compared."""
RATES = ["rate", "rate_unseen"]
"""Of an adversarial image behind a random defense, among fresh draws (`clever.attacks.search.Found`)."""
SORT = ["cell", "norm", "target"]
"""What is attacked for all images or for none."""


def beside(scores: pd.DataFrame, distances: pd.DataFrame) -> pd.DataFrame:
    """The scores with the ``distance`` of each, infinite where no adversarial image was found, and ``above_distance``.

    A score above the distance is an estimate that the network itself refutes. The distance is NaN where there was no
    attack (``attack.targets``, ``attack.norms``); `InputError` for a score without one beside others that have one.
    Where any defense is random, the rates of the adversarial images are there, too.
    """
    rates = [name for name in RATES if name in distances]
    known = scores.merge(distances[[*KEY, "distance", *rates]], on=KEY, how="left", validate="one_to_one")
    attacked = scores[SORT].apply(tuple, axis=1).isin(set(distances[SORT].itertuples(index=False, name=None)))
    if not attacked.any():
        raise InputError("no score has an adversarial distance: attack.targets and attack.norms are of those scored")
    if lacking := int((known.distance.isna() & attacked.to_numpy()).sum()):
        raise InputError(
            f"{lacking} of {attacked.sum()} scores have no adversarial distance beside them: run the stages score and "
            "attack with the same settings"
        )
    return known.assign(above_distance=known.score > known.distance)


def summarise_bounds(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each cell, norm and target that was attacked.

    ``found``: share of images with an adversarial image; over these: ``score`` and ``distance``, means; ``ratio``, the
    geometric mean of score over distance with its interval, and ``median_ratio``; ``rank_correlation`` (Spearman).
    ``at_zero``: images that are adversarial as they are, at distance 0, of which no ratio speaks. ``count_above``: how
    many scores are above the distance, of ``judged``, the images that one was found for; ``share_above`` with its
    exact binomial interval. ``rate``, ``rate_unseen``: means, where any defense is random.
    """
    summary = []
    for (network, cell, norm, target), group in rows[rows.distance.notna()].groupby(GROUP, sort=False):
        found = group[np.isfinite(group.distance)]
        ratios = log_ratio(found.score, found.distance)
        ratios = ratios[~np.isnan(ratios)]
        low, high = np.exp(mean_interval(ratios, seed))
        told = refuted(group)
        summary.append(
            {
                "network": network,
                "cell": cell,
                "norm": norm,
                "target": target,
                "images": len(group),
                "found": np.isfinite(group.distance).mean(),
                "score": found.score.mean(),
                "distance": found.distance.mean(),
                "ratio": np.exp(ratios.mean()) if len(ratios) else np.nan,
                "ratio_low": low,
                "ratio_high": high,
                "median_ratio": told["median_ratio"],
                "at_zero": int((group.distance == 0).sum()),
                "rank_correlation": rank_correlation(found.score, found.distance),
                "count_above": told["count_above"],
                "judged": told["images"],
                **{name: told[name] for name in told if name.startswith("share_above")},
                **{name: found[name].mean() for name in RATES if name in found},
            }
        )
    return pd.DataFrame(summary)


def findings(rows: pd.DataFrame) -> pd.DataFrame:
    """Every score above the smallest distance found, worst first, with the diagnostics of its fit."""
    above = rows[rows.above_distance].assign(excess=lambda found: found.score / found.distance - 1)
    columns = ["cell", "id", "label", "target", "target_class", "norm", "score", "distance", "excess", "capped"]
    fit = ["end_point", "sample_maximum", "shape", "ks_pvalue", "fit_failed", "degenerate", "tied"]
    prefixed = [f"end_point_{name}" if name != "end_point" else name for name in fit]
    return above.sort_values("excess", ascending=False, kind="stable")[[*columns, *prefixed]]


SCORES = Table("scores", lambda data: beside(data.scores, data.distances), digits=None)
FINDINGS = Table("findings", lambda data: findings(data.tables["scores"]))
TABLE = Table(
    "bounds",
    lambda data: summarise_bounds(data.tables["scores"], data.seed),
    printed=Printed(
        "CLEVER and the smallest adversarial distance found",
        (
            Column("cell", "cell", cell_title),
            Column("target", "target", target_title),
            Column("CLEVER", "score", number),
            Column("smallest distance", "distance", number),
            printed.interval("CLEVER / distance", "ratio"),
            Column("median", "median_ratio", number),
            Column("at distance 0", "at_zero"),
            Column("rank correlation", "rank_correlation", correlation),
            Column(
                "CLEVER above",
                ("count_above", "judged", "share_above", "share_above_low", "share_above_high"),
                shares,
            ),
            Column("attack found", "found", "{:.0%}".format),
            Column("rate", "rate", percentage, optional=True),
            Column("rate, unseen draws", "rate_unseen", percentage, optional=True),
        ),
        by_network_and_norm=True,
    ),
)
