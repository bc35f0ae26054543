"""The summary as a table that one can print: Markdown and LaTeX from the same cells."""

from typing import cast

import numpy as np
import pandas as pd

TARGETS = {"top2": "top-2", "random": "random", "least": "least likely", "untargeted": "untargeted"}
UNITS = "[0,1]-pixel units"
ORDERS = f"First and second order, {UNITS}"
ATTACKED = "CLEVER and the smallest adversarial distance found"
CALIBRATED = "Estimates over the smallest distance found, at equal tightness"
NOTE = (
    "Means over images with 95 % bootstrap intervals, whose unit is the image. Ratio: geometric mean of the paired "
    "ratios to the first cell, over the images (pairs) that have the same target class in both; all: over those "
    "with another target class, too. Other class: images that the defended network takes for another class, which "
    "no ratio counts; scored: those that have a score all the same, as in the authors' code. At distance 0: images "
    "that are adversarial as they are. Capped: share of scores equal to the radius. Floored: share whose end point "
    "came out below the value at the image itself, which is used then. Fallen back: share of scores whose end point"
    " is the sample maximum. Gain: the same of second over first order. CLEVER above: scores that exceed the "
    "distance of an adversarial image, with the exact binomial interval. At equal tightness: spread, the standard "
    "deviation of log(estimate / distance); worst, the largest ratio over the median one; median at 5 % above, the "
    "median ratio once all estimates are scaled so that 5 % exceed the distance; one gradient, g(x0) over the norm of "
    "its gradient. Every score is an estimate of a lower "
    "bound, not a guarantee."
)


def named(cell: str) -> str:
    """A cell's name for people to read."""
    return cell.replace("-", ", ").replace("_", " ").replace("bpda", "BPDA")


def of_target(target: object) -> str:
    """A target's name for people to read."""
    return TARGETS.get(str(target), f"class {target}")


def printable(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of one network and norm, numbers as text with their intervals."""
    return pd.DataFrame(
        {
            "cell": part.cell.map(named),
            "target": part.target.map(of_target),
            "mean": [_with_interval(*row) for row in part[["mean", "mean_low", "mean_high"]].to_numpy()],
            "median": part["median"].map(_number),
            "minimum": part.minimum.map(_number),
            "ratio": [_with_interval(*row) for row in part[["ratio", "ratio_low", "ratio_high"]].to_numpy()],
            "pairs": part.pairs,
            "ratio, all": [
                _with_interval(*row) for row in part[["ratio_all", "ratio_all_low", "ratio_all_high"]].to_numpy()
            ],
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
            "first order": comparison["first"].map(_number),
            "second order": comparison.second.map(_number),
            "gain": [_with_interval(*row) for row in comparison[["gain", "gain_low", "gain_high"]].to_numpy()],
            "second larger": comparison.share_larger.map("{:.0%}".format),
            "second capped": comparison.share_capped.map("{:.0%}".format),
            "products a point": comparison["products"].map(_number),
            "not converged": comparison.unconverged.map("{:.1%}".format),
            "images": comparison.images,
        }
    )


def bounded(bounds: pd.DataFrame) -> pd.DataFrame:
    """CLEVER beside the smallest distance found, the rows of one network and norm, numbers as text."""
    share = bounds[["exceeding", "images", "share_exceeding", "share_exceeding_low", "share_exceeding_high"]]
    return pd.DataFrame(
        {
            "cell": bounds.cell.map(named),
            "target": bounds.target.map(of_target),
            "CLEVER": bounds.score.map(_number),
            "smallest distance": bounds.distance.map(_number),
            "CLEVER / distance": [
                _with_interval(*row) for row in bounds[["ratio", "ratio_low", "ratio_high"]].to_numpy()
            ],
            "median": bounds.median_ratio.map(_number),
            "at distance 0": bounds.at_zero,
            "rank correlation": ["" if np.isnan(value) else f"{value:.2f}" for value in bounds.rank_correlation],
            "CLEVER above": [
                f"{above:.0f} of {total:.0f}: {p:.0%} [{low:.0%}, {high:.0%}]"
                for above, total, p, low, high in share.to_numpy()
            ],
            "attack found": bounds.found.map("{:.0%}".format),
        }
    )


def calibrated(table: pd.DataFrame) -> pd.DataFrame:
    """Estimates at equal tightness, numbers as text."""
    return pd.DataFrame(
        {
            "cell": table.cell.map(named),
            "estimate": table.method,
            "target": table.target.map(of_target),
            "median ratio": table.ratio.map(_number),
            "above": table.above.map("{:.0%}".format),
            "spread": [_with_interval(*row) for row in table[["spread", "spread_low", "spread_high"]].to_numpy()],
            "worst": table.worst.map(_number),
            "median at 5 % above": table.tightness.map(_number),
            "rank correlation": ["" if np.isnan(value) else f"{value:.2f}" for value in table.rank_correlation],
            "gradients": ["" if np.isnan(value) else f"{value:.0f}" for value in table.gradients],
            "capped": table.capped.map("{:.0%}".format),
            "images": table.images,
        }
    )


def sections(
    summary: pd.DataFrame, comparison: pd.DataFrame, bounds: pd.DataFrame, calibration: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The printed tables by titles: three a network and norm (scores, bounds, calibration), and the two orders."""
    by = ["network", "norm"]
    tables = {_title(key): printable(part) for key, part in summary.groupby(by, sort=False)}
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


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{_number(value)} [{_number(low)}, {_number(high)}]" if not np.isnan(low) else _number(value)
