"""The summary as a table that one can print: Markdown and LaTeX from the same cells."""

import pandas as pd

TARGETS = {"top2": "top-2", "random": "random", "least": "least likely", "untargeted": "untargeted"}
UNITS = "[0,1]-pixel units"
ORDERS = f"First and second order, {UNITS}"
NOTE = (
    "Means over images with 95 % bootstrap intervals. Ratio: geometric mean of the paired ratios to the first cell. "
    "Capped: share of scores equal to the radius. Fallen back: share of scores whose end point is the sample maximum. "
    "Gain: the same of second over first order. Every score is an estimate of a lower bound, not a guarantee."
)


def named(cell: str) -> str:
    """A cell's name for people to read."""
    return cell.replace("_", " ").replace("bpda", "BPDA")


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
            "capped": part.share_capped.map("{:.0%}".format),
            "fallen back": part.share_fell_back.map("{:.0%}".format),
            "images": part.images,
            "pairs": part.pairs,
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


def sections(summary: pd.DataFrame, comparison: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The printed tables by their titles: one a network and norm, and the two orders."""
    parts = summary.groupby(["network", "norm"], sort=False)
    tables = {f"{named(str(network))}, {norm} norm, {UNITS}": printable(part) for (network, norm), part in parts}
    return tables | ({ORDERS: compared(comparison)} if len(comparison) else {})


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
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"
