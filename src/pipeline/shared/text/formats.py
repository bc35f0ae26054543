"""Names, numbers and intervals as the text of tables, figures and verdicts."""

import numpy as np

TARGETS = {"top2": "top-2", "random": "random", "least": "least likely", "untargeted": "untargeted"}
UNITS = "[0,1]-pixel units"


def cell_title(cell: str) -> str:
    """A cell's name for people to read."""
    return cell.replace("-", ", ").replace("_", " ").replace("bpda", "BPDA")


def target_title(target: object) -> str:
    """A target's name for people to read."""
    return TARGETS.get(str(target), f"class {target}")


def percentage(value: float) -> str:
    """A percentage, empty where there is none."""
    return "" if np.isnan(value) else f"{value:.0%}"


def share(value: float, low: float, high: float) -> str:
    """A share and its interval, as percentages; empty where there is none."""
    return "" if np.isnan(value) else f"{value:.0%} [{low:.0%}, {high:.0%}]"


def correlation(value: float) -> str:
    """Two decimals, empty where there is none."""
    return "" if np.isnan(value) else f"{value:.2f}"


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def number_or_empty(value: float) -> str:
    """Three digits, empty where there is no number."""
    return "" if np.isnan(value) else number(value)


def integer_or_empty(value: float) -> str:
    """Without decimals, empty where there is no number."""
    return "" if np.isnan(value) else f"{value:.0f}"


def number_range(low: float, high: float) -> str:
    """An interval alone, empty where there is none."""
    return "" if np.isnan(low) else f"[{number(low)}, {number(high)}]"


def shares(count: float, total: float, value: float, low: float, high: float) -> str:
    """How many of how many, and their share with its interval."""
    return f"{count:.0f} of {total:.0f}: {share(value, low, high)}" if total else "0 of 0"


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval, where it has one."""
    return f"{number(value)} [{number(low)}, {number(high)}]" if not np.isnan(low) else number(value)
