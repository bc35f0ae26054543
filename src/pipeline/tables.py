"""The summary as a table that one can print: Markdown and LaTeX from the same cells."""

import pandas as pd

TARGETS = {"top2": "top-2", "random": "random", "least": "least likely", "untargeted": "untargeted"}
UNITS = "[0,1]-pixel units"
NOTE = (
    "Means over images with 95 % bootstrap intervals. Ratio: geometric mean of the paired ratios to the baseline. "
    "Capped: share of scores equal to the radius. Fallen back: share of scores whose end point is the sample maximum. "
    "Every score is an estimate of a lower bound, not a guarantee."
)


def named(cell: str) -> str:
    """A cell's name for people to read."""
    return cell.replace("_", " ").replace("bpda", "BPDA")


def printable(summary: pd.DataFrame, norm: str) -> pd.DataFrame:
    """The rows of one norm, numbers as text with their intervals."""
    part = summary[summary.norm == norm]
    return pd.DataFrame(
        {
            "defense": part.cell.map(named),
            "target": [TARGETS.get(str(target), f"class {target}") for target in part.target],
            "mean": [_with_interval(*row) for row in part[["mean", "mean_low", "mean_high"]].to_numpy()],
            "median": part["median"].map(_number),
            "minimum": part.minimum.map(_number),
            "ratio": [_with_interval(*row) for row in part[["ratio", "ratio_low", "ratio_high"]].to_numpy()],
            "capped": part.share_capped.map("{:.0%}".format),
            "fallen back": part.share_fell_back.map("{:.0%}".format),
            "images": part.images,
            "pairs": part.pairs,
        }
    )


def markdown(summary: pd.DataFrame) -> str:
    """A section a norm, in GitHub's Markdown."""
    sections = [
        f"### {norm}, {UNITS}\n\n{printable(summary, norm).to_markdown(index=False, disable_numparse=True)}\n"
        for norm in summary.norm.unique()
    ]
    return "\n".join([*sections, NOTE, ""])


def latex(summary: pd.DataFrame) -> str:
    """A table a norm, for the booktabs package."""
    return "\n".join(
        printable(summary, norm).to_latex(
            index=False,
            escape=True,
            caption=f"CLEVER, {norm} norm, {UNITS}. {NOTE}".replace("%", "\\%"),
            label=f"tab:{norm}",
        )
        for norm in summary.norm.unique()
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"
