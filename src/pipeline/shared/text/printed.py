"""How tables are printed: declared column by column, written as Markdown, LaTeX and HTML from the same cells."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import cast

import pandas as pd

from pipeline.shared.text.formats import UNITS, cell_title, with_interval

NOTE = (
    "Means over images with 95 % bootstrap intervals, whose unit is the image. Ratio: geometric mean of the paired "
    "ratios to the network's first cell, and of a defense to the cell without one that has the same order and "
    "sampling, over the images (pairs) that have the same target class in both; all: over those with another target "
    "class, too. Other class: images that the defended network takes for another class, which "
    "no ratio counts; scored: those that have a score all the same, as in the authors' code. At distance 0: images "
    "that are adversarial as they are. Capped: share of scores equal to the radius. Raised to x0: share whose "
    "end point came out below the value at the image itself, which is used then. Fit failed: share of scores whose end "
    "point is the sample maximum. Gain: the same of second over first order. CLEVER above: scores that exceed the "
    "distance of an adversarial image, with the exact binomial interval. Rate: behind a random defense, the mean "
    "share of fresh draws that take the adversarial image for the target class, of those that success was counted by "
    "and of as many that the attack had not seen. At equal tightness: spread, the standard deviation of log(estimate "
    "/ distance); worst, the largest ratio over the median one; median at 5 % above, the median ratio once all "
    "estimates are scaled so that 5 % exceed the distance, and that over CLEVER of first order on the same images; one "
    "gradient, g(x0) over the norm of its gradient. Every "
    "score is an estimate of a lower bound, not a guarantee."
)


@dataclass(frozen=True)
class Column:
    """A printed column.

    ``source``: the column or columns of the table that it shows, given to ``text`` row by row; without ``text`` the
    values are shown as they are. ``optional``: left out where the table has no such column.
    """

    label: str
    source: str | tuple[str, ...]
    text: Callable[..., str] | None = None
    optional: bool = False

    def values(self, table: pd.DataFrame) -> "pd.Series[int] | list[str]":
        """Of each row of the table."""
        names = (self.source,) if isinstance(self.source, str) else self.source
        if self.text is None:
            return table[names[0]]
        return [self.text(*row) for row in zip(*(table[name] for name in names), strict=True)]

    def is_shown(self, table: pd.DataFrame) -> bool:
        """Whether the table has it."""
        return not self.optional or {self.source} <= set(table)


def interval(label: str, source: str) -> Column:
    """A number with its interval, which the columns ``_low`` and ``_high`` hold."""
    return Column(label, (source, f"{source}_low", f"{source}_high"), with_interval)


@dataclass(frozen=True)
class Printed:
    """How a table is printed: in one piece, or one for each network and norm, whose names follow the title.

    ``prepare``: what is done to the table before.
    """

    title: str
    columns: tuple[Column, ...]
    by_network_and_norm: bool = False
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None

    def text(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows, numbers as text."""
        table = self.prepare(table) if self.prepare else table
        return pd.DataFrame({column.label: column.values(table) for column in self.columns if column.is_shown(table)})

    def sections(self, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """What is printed of a table, by its titles."""
        if not self.by_network_and_norm:
            return {self.title: self.text(table)}
        parts = {cast(tuple[str, str], key): part for key, part in table.groupby(["network", "norm"], sort=False)}
        before = f"{self.title}: " if self.title else ""
        return {
            f"{before}{cell_title(network)}, {norm} norm, {UNITS}": self.text(part)
            for (network, norm), part in parts.items()
        }


def documents(sections: dict[str, pd.DataFrame]) -> dict[str, str]:
    """The printed tables as files, by their names."""
    return {"tables.md": markdown(sections), "tables.tex": latex(sections), "tables.html": html(sections)}


def markdown(tables: dict[str, pd.DataFrame]) -> str:
    """A section for each table, in GitHub's Markdown."""
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


def html(tables: dict[str, pd.DataFrame]) -> str:
    """The same tables as part of a page, which the report shows as it is."""
    return "\n".join(f"<h4>{escape(title)}</h4>\n{table_html(table)}" for title, table in tables.items()) + "\n"


def table_html(table: pd.DataFrame) -> str:
    """One table for a page."""
    text = table.to_html(index=False, border=0, na_rep="", float_format=lambda number: f"{number:.4g}")
    return f'<div class="wide">{text}</div>'
