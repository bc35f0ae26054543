"""Rows as CSV, as aligned text, and as a table of HTML."""

import csv
import html
import io
from collections.abc import Iterable, Mapping, Sequence


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """A line a row, its columns those of all rows; NaN, what is not known, is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value != value else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def plain_text(title: str, cells: Iterable[Sequence[str]], more: Sequence[str] = ()) -> str:
    """The title, the cells in columns flush right, the first row being their heads, and the lines that follow."""
    head, *rows = cells
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join([title, *(line.rstrip() for line in lines if rows), *more])


def html_text(title: str, cells: Iterable[Sequence[str]], more: Sequence[str] = ()) -> str:
    """The same for a notebook."""
    head, *rows = [[html.escape(cell) for cell in row] for row in cells]
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f"<p>{html.escape(title)}</p>{table}{''.join(f'<p>{line}</p>' for line in more)}"
