"""Formats of names, numbers and intervals in tables, figures and verdicts. NaN gives an empty text."""

import numpy as np

TARGETS = {"top2": "top-2", "random": "random", "least": "least likely", "untargeted": "untargeted"}
UNITS = "[0,1]-pixel units"


def cell_title(cell: str) -> str:
    """A cell's name for display."""
    return cell.replace("-", ", ").replace("_", " ").replace("bpda", "BPDA")


def target_title(target: object) -> str:
    """A target's name for display."""
    return TARGETS.get(str(target), f"class {target}")


def percentage(value: float) -> str:
    """A percentage without decimals."""
    return "" if np.isnan(value) else f"{value:.0%}"


def share(value: float, low: float, high: float) -> str:
    """A proportion and its interval, as percentages."""
    return "" if np.isnan(value) else f"{value:.0%} [{low:.0%}, {high:.0%}]"


def correlation(value: float) -> str:
    """A correlation with two decimals."""
    return "" if np.isnan(value) else f"{value:.2f}"


def number(value: float) -> str:
    """Three significant digits; no decimals from 1000 up."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def number_or_empty(value: float) -> str:
    """As `number`; empty for NaN."""
    return "" if np.isnan(value) else number(value)


def integer_or_empty(value: float) -> str:
    """A number without decimals."""
    return "" if np.isnan(value) else f"{value:.0f}"


def number_range(low: float, high: float) -> str:
    """An interval without its estimate."""
    return "" if np.isnan(low) else f"[{number(low)}, {number(high)}]"


def shares(count: float, total: float, value: float, low: float, high: float) -> str:
    """A count, its total, and the proportion with its interval."""
    return f"{count:.0f} of {total:.0f}: {share(value, low, high)}" if total else "0 of 0"


def with_interval(value: float, low: float, high: float) -> str:
    """A number, followed by its interval unless that is NaN."""
    return f"{number(value)} [{number(low)}, {number(high)}]" if not np.isnan(low) else number(value)
