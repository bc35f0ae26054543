"""CLEVER, an estimate of a lower bound, compared with the smallest adversarial distance found, an upper bound."""

import numpy as np
import pandas as pd

from clever.errors import InputError
from pipeline.aggregate.refuted import count_refuted
from pipeline.aggregate.summary import GROUP
from pipeline.aggregate.table import Table
from pipeline.shared.stats.statistics import log_ratio, mean_interval, rank_correlation
from pipeline.shared.text import printed
from pipeline.shared.text.formats import cell_title, correlation, number, percentage, shares, target_title
from pipeline.shared.text.printed import Column, Printed

KEY = ["cell", "id", "predicted", "norm", "target"]
"""The keys that match a score with a distance."""
RATES = ["rate", "rate_unseen"]
"""Success rates of an adversarial image over draws of a random defense (`clever.attacks.search.Found`)."""
ATTACK_KEYS = ["cell", "norm", "target"]
"""For each combination, either all images are attacked or none."""


def join_distances(scores: pd.DataFrame, distances: pd.DataFrame) -> pd.DataFrame:
    """The scores with their ``distance``, infinite if no adversarial image was found, and ``above_distance``.

    An adversarial image refutes a score above its distance. The distance is NaN for targets and norms that were not
    attacked (``attack.targets``, ``attack.norms``); `InputError` if it is missing for only some images. The success
    rates are included if any defense is random.
    """
    rates = [name for name in RATES if name in distances]
    joined = scores.merge(distances[[*KEY, "distance", *rates]], on=KEY, how="left", validate="one_to_one")
    combinations = set(distances[ATTACK_KEYS].itertuples(index=False, name=None))
    attacked = scores[ATTACK_KEYS].apply(tuple, axis=1).isin(combinations)
    if not attacked.any():
        raise InputError("no score has an adversarial distance: attack.targets and attack.norms must also be scored")
    if lacking := int((joined.distance.isna() & attacked.to_numpy()).sum()):
        raise InputError(
            f"{lacking} of {attacked.sum()} scores have no adversarial distance: run the stages score and attack with "
            "the same settings"
        )
    return joined.assign(above_distance=joined.score > joined.distance)


def summarise_bounds(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row for each cell, norm and target that was attacked.

    ``found``: share of images with an adversarial image; over these: ``score`` and ``distance``, means; ``ratio``, the
    geometric mean of score over distance with its interval, and ``median_ratio``; ``rank_correlation`` (Spearman).
    ``at_zero``: images at distance 0, which are already adversarial and have no ratio. ``count_above``: the number of
    scores above the distance, out of ``judged`` images with an adversarial image; ``share_above`` with its exact
    binomial interval. ``rate``, ``rate_unseen``: means, if any defense is random.
    """
    summary = []
    for (network, cell, norm, target), group in rows[rows.distance.notna()].groupby(GROUP, sort=False):
        found = group[np.isfinite(group.distance)]
        ratios = log_ratio(found.score, found.distance)
        ratios = ratios[~np.isnan(ratios)]
        low, high = np.exp(mean_interval(ratios, seed))
        counts = count_refuted(group)
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
                "median_ratio": counts["median_ratio"],
                "at_zero": int((group.distance == 0).sum()),
                "rank_correlation": rank_correlation(found.score, found.distance),
                "count_above": counts["count_above"],
                "judged": counts["images"],
                **{name: counts[name] for name in counts if name.startswith("share_above")},
                **{name: found[name].mean() for name in RATES if name in found},
            }
        )
    return pd.DataFrame(summary)


def findings(rows: pd.DataFrame) -> pd.DataFrame:
    """Every score above the smallest distance found, worst first, with the diagnostics of its fit."""
    above = rows[rows.above_distance].assign(excess=lambda refuted: refuted.score / refuted.distance - 1)
    columns = ["cell", "id", "label", "target", "target_class", "norm", "score", "distance", "excess", "capped"]
    fit = ["end_point", "sample_maximum", "shape", "ks_pvalue", "fit_failed", "degenerate", "tied"]
    prefixed = [f"end_point_{name}" if name != "end_point" else name for name in fit]
    return above.sort_values("excess", ascending=False, kind="stable")[[*columns, *prefixed]]


SCORES = Table("scores", lambda data: join_distances(data.scores, data.distances), digits=None)
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
            Column("attack succeeded", "found", "{:.0%}".format),
            Column("rate", "rate", percentage, optional=True),
            Column("rate, unseen draws", "rate_unseen", percentage, optional=True),
        ),
        by_network_and_norm=True,
    ),
)
