"""Printed tables: columns are declared once and written as Markdown, LaTeX and HTML."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import cast

import pandas as pd

from pipeline.shared.text.formats import UNITS, cell_title, with_interval

NOTE = (
    "Means over images with 95 % bootstrap intervals that resample images. Ratio: geometric mean of the paired ratios "
    "over images with the same target class in both cells (pairs). A defense is compared with the undefended cell of "
    "the same order and sampling, any other cell with the network's first cell; all: including images whose target "
    "class differs. Other class: images that the defended network misclassifies, which are excluded from ratios; "
    "scored: those among them that are scored nevertheless, as in the authors' code. At distance 0: images that are "
    "adversarial without any change. Capped: "
    "proportion of scores equal to the radius. Raised to x0: proportion of scores whose end point was estimated below "
    "the value at the image itself, which replaces it. Fit failed: proportion of scores whose end point is the sample "
    "maximum. Gain: ratio of second to first order. CLEVER above: scores that exceed the distance of an adversarial "
    "image, with the exact binomial interval. Rate: for a random defense, the mean proportion of fresh draws under "
    "which the adversarial image is assigned the target class, over the draws that decide success and over as many "
    "held-out draws. At equal tightness: spread, the standard deviation of log(estimate / distance); worst, the "
    "largest ratio divided by the median; median at 5 % above, the median ratio after scaling all estimates so that "
    "5 % exceed the distance, also relative to first-order CLEVER on the same images; one gradient, g(x0) divided by "
    "the norm of its gradient. Every score is an estimate of a lower bound, not a guarantee."
)


@dataclass(frozen=True)
class Column:
    """A printed column.

    ``source``: the table's column or columns, which ``text`` formats row by row; without ``text`` the values are shown
    unchanged. ``optional``: omitted if the table lacks the source.
    """

    label: str
    source: str | tuple[str, ...]
    text: Callable[..., str] | None = None
    optional: bool = False

    def values(self, table: pd.DataFrame) -> "pd.Series[int] | list[str]":
        """The printed value of each row."""
        names = (self.source,) if isinstance(self.source, str) else self.source
        if self.text is None:
            return table[names[0]]
        return [self.text(*row) for row in zip(*(table[name] for name in names), strict=True)]

    def is_shown(self, table: pd.DataFrame) -> bool:
        """Whether the column is printed for this table."""
        return not self.optional or {self.source} <= set(table)


def interval(label: str, source: str) -> Column:
    """A column of numbers with their intervals, taken from the columns ``_low`` and ``_high``."""
    return Column(label, (source, f"{source}_low", f"{source}_high"), with_interval)


@dataclass(frozen=True)
class Printed:
    """The layout of a printed table: a single one, or one per network and norm, named in the title.

    ``prepare``: applied to the table first.
    """

    title: str
    columns: tuple[Column, ...]
    by_network_and_norm: bool = False
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None

    def text(self, table: pd.DataFrame) -> pd.DataFrame:
        """The formatted table."""
        table = self.prepare(table) if self.prepare else table
        return pd.DataFrame({column.label: column.values(table) for column in self.columns if column.is_shown(table)})

    def sections(self, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The formatted tables by title."""
        if not self.by_network_and_norm:
            return {self.title: self.text(table)}
        parts = {cast(tuple[str, str], key): part for key, part in table.groupby(["network", "norm"], sort=False)}
        before = f"{self.title}: " if self.title else ""
        return {
            f"{before}{cell_title(network)}, {norm} norm, {UNITS}": self.text(part)
            for (network, norm), part in parts.items()
        }


def documents(sections: dict[str, pd.DataFrame]) -> dict[str, str]:
    """The contents of the table files by file name."""
    return {"tables.md": markdown(sections), "tables.tex": latex(sections), "tables.html": html(sections)}


def markdown(tables: dict[str, pd.DataFrame]) -> str:
    """One section per table, in GitHub's Markdown."""
    texts = [
        f"### {title}\n\n{table.to_markdown(index=False, disable_numparse=True)}\n" for title, table in tables.items()
    ]
    return "\n".join([*texts, NOTE, ""])


def latex(tables: dict[str, pd.DataFrame]) -> str:
    """LaTeX tables for the booktabs package."""
    return "\n".join(
        table.to_latex(
            index=False, escape=True, caption=f"CLEVER, {title}. {NOTE}".replace("%", "\\%"), label=f"tab:{number}"
        )
        for number, (title, table) in enumerate(tables.items(), 1)
    )


def html(tables: dict[str, pd.DataFrame]) -> str:
    """An HTML fragment that the report includes unchanged."""
    return "\n".join(f"<h4>{escape(title)}</h4>\n{table_html(table)}" for title, table in tables.items()) + "\n"


def table_html(table: pd.DataFrame) -> str:
    """An HTML table."""
    text = table.to_html(index=False, border=0, na_rep="", float_format=lambda number: f"{number:.4g}")
    return f'<div class="wide">{text}</div>'
