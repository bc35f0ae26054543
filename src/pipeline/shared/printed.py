"""The summary as a table that one can print: Markdown and LaTeX from the same cells."""

from typing import cast

import numpy as np
import pandas as pd

from pipeline.shared.formats import (
    UNITS,
    correlation,
    intervals,
    named,
    number,
    of_target,
    percentage,
    share,
    with_interval,
)

RATES = {"rate": "rate", "rate_unseen": "rate, unseen draws"}
ORDERS = f"First and second order, {UNITS}"
EVIDENCE = "What each kind of score is worth: how often the strongest attack refutes it, how tight it is, what it costs"
ATTACKED = "CLEVER and the smallest adversarial distance found"
CALIBRATED = "Estimates over the smallest distance found, at equal tightness"
NOTE = (
    "Means over images with 95 % bootstrap intervals, whose unit is the image. Ratio: geometric mean of the paired "
    "ratios to the network's first cell, and of a defense to the cell without one that has the same order and "
    "sampling, over the images (pairs) that have the same target class in both; all: over those with another target "
    "class, too. Other class: images that the defended network takes for another class, which "
    "no ratio counts; scored: those that have a score all the same, as in the authors' code. At distance 0: images "
    "that are adversarial as they are. Capped: share of scores equal to the radius. Floored: share whose end point "
    "came out below the value at the image itself, which is used then. Fallen back: share of scores whose end point"
    " is the sample maximum. Gain: the same of second over first order. CLEVER above: scores that exceed the "
    "distance of an adversarial image, with the exact binomial interval. Rate: behind a random defense, the mean "
    "share of fresh draws that take the adversarial image for the target class, of those that success was counted by "
    "and of as many that the attack had not seen. At equal tightness: spread, the standard deviation of log(estimate "
    "/ distance); worst, the largest ratio over the median one; median at 5 % above, the median ratio once all "
    "estimates are scaled so that 5 % exceed the distance, and that over CLEVER of first order on the same images; one "
    "gradient, g(x0) over the norm of its gradient. Every "
    "score is an estimate of a lower bound, not a guarantee."
)


def printable(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of one network and norm, numbers as text with their intervals."""
    return pd.DataFrame(
        {
            "cell": part.cell.map(named),
            "target": part.target.map(of_target),
            "mean": intervals(part, "mean"),
            "median": part["median"].map(number),
            "minimum": part.minimum.map(number),
            "ratio": intervals(part, "ratio"),
            "pairs": part.pairs,
            "ratio, all": intervals(part, "ratio_all"),
            "other target": part.changed_target,
            "other class": part.changed_class,
            "other class, scored": part.already_changed,
            "capped": part.share_capped.map("{:.0%}".format),
            "floored": part.share_floored.map("{:.0%}".format),
            "fallen back": part.share_fell_back.map("{:.0%}".format),
            "images": part.images,
        }
    )


def compared(comparison: pd.DataFrame) -> pd.DataFrame:
    """The rows of the comparison of orders, numbers as text."""
    return pd.DataFrame(
        {
            "cell": comparison.cell.map(named),
            "norm": comparison.norm,
            "target": comparison.target.map(of_target),
            "first order": comparison["first"].map(number),
            "second order": comparison.second.map(number),
            "gain": intervals(comparison, "gain"),
            "second larger": comparison.share_larger.map("{:.0%}".format),
            "second capped": comparison.share_capped.map("{:.0%}".format),
            "products a point": comparison["products"].map(number),
            "not converged": comparison.unconverged.map("{:.1%}".format),
            "images": comparison.images,
        }
    )


def bounded(bounds: pd.DataFrame) -> pd.DataFrame:
    """CLEVER beside the smallest distance found, the rows of one network and norm, numbers as text."""
    return pd.DataFrame(
        {
            "cell": bounds.cell.map(named),
            "target": bounds.target.map(of_target),
            "CLEVER": bounds.score.map(number),
            "smallest distance": bounds.distance.map(number),
            "CLEVER / distance": intervals(bounds, "ratio"),
            "median": bounds.median_ratio.map(number),
            "at distance 0": bounds.at_zero,
            "rank correlation": bounds.rank_correlation.map(correlation),
            "CLEVER above": _shares(bounds, "judged"),
            "attack found": bounds.found.map("{:.0%}".format),
        }
        | {title: bounds[of].map(percentage) for of, title in RATES.items() if of in bounds}
    )


def judged(evidence: pd.DataFrame) -> pd.DataFrame:
    """Each kind of score behind each defense, numbers as text; by its cell where several are of one kind."""
    several = evidence.duplicated(["network", "defense", "norm", "kind"], keep=False)
    return pd.DataFrame(
        {
            "network": evidence.network.map(named),
            "defense": evidence.defense,
            "norm": evidence.norm,
            "score": evidence.kind.where(~several, evidence.cell).map(named),
            "images above": _shares(evidence, "images"),
            "score / distance, median": evidence.median_ratio.map(number),
            "at distance 0": evidence.at_zero,
            "gradients a score": evidence.gradients.map("{:.0f}".format),
        }
    )


def calibrated(table: pd.DataFrame) -> pd.DataFrame:
    """Estimates at equal tightness, numbers as text."""
    return pd.DataFrame(
        {
            "cell": table.cell.map(named),
            "estimate": table.method,
            "target": table.target.map(of_target),
            "median ratio": table.ratio.map(number),
            "above": table.above.map("{:.0%}".format),
        }
        | at_equal_tightness(table)
        | {"images": table.images}
    )


def at_equal_tightness(table: pd.DataFrame) -> "dict[str, pd.Series[str] | list[str]]":
    """What no factor changes of estimates (`pipeline.aggregate.calibration.calibrate`), and what they cost."""
    return {
        "spread": intervals(table, "spread"),
        "worst": table.worst.map(number),
        "median at 5 % above": table.tightness.map(number),
        "over first order": _gains(table),
        "rank correlation": table.rank_correlation.map(correlation),
        "gradients": ["" if np.isnan(value) else f"{value:.0f}" for value in table.gradients],
        "capped": table.capped.map("{:.0%}".format),
    }


def sections(
    summary: pd.DataFrame,
    comparison: pd.DataFrame,
    bounds: pd.DataFrame,
    evidence: pd.DataFrame,
    calibration: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """The printed tables by their titles: the kinds of scores, three a network and norm (scores, upper bounds,
    calibration), and the two orders."""
    by = ["network", "norm"]
    tables = {EVIDENCE: judged(evidence)} if len(evidence) else {}
    tables |= {_title(key): printable(part) for key, part in summary.groupby(by, sort=False)}
    tables |= {ORDERS: compared(comparison)} if len(comparison) else {}
    tables |= {f"{ATTACKED}: {_title(key)}": bounded(part) for key, part in bounds.groupby(by, sort=False)}
    return tables | {
        f"{CALIBRATED}: {_title(key)}": calibrated(part) for key, part in calibration.groupby(by, sort=False)
    }


def _title(key: object) -> str:
    network, norm = cast(tuple[str, str], key)
    return f"{named(network)}, {norm} norm, {UNITS}"


def markdown(tables: dict[str, pd.DataFrame]) -> str:
    """A section a table, in GitHub's Markdown."""
    texts = [
        f"### {title}\n\n{table.to_markdown(index=False, disable_numparse=True)}\n" for title, table in tables.items()
    ]
    return "\n".join([*texts, NOTE, ""])


def latex(tables: dict[str, pd.DataFrame]) -> str:
    """The same tables for the booktabs package."""
    return "\n".join(
        table.to_latex(
            index=False, escape=True, caption=f"CLEVER, {title}. {NOTE}".replace("%", "\\%"), label=f"tab:{number}"
        )
        for number, (title, table) in enumerate(tables.items(), 1)
    )


def _gains(table: pd.DataFrame) -> list[str]:
    rows = zip(table[["gain", "gain_low", "gain_high"]].to_numpy(), table.verdict, strict=True)
    return ["" if np.isnan(ends[0]) else f"{with_interval(*ends)}, {verdict}" for ends, verdict in rows]


def _shares(table: pd.DataFrame, of: str) -> list[str]:
    known = table[["exceeding", of, "share_exceeding", "share_exceeding_low", "share_exceeding_high"]]
    return [
        f"{above:.0f} of {total:.0f}: {share(*of_images)}" if total else "0 of 0"
        for above, total, *of_images in known.to_numpy()
    ]
