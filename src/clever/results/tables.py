"""Tables as CSV, aligned text and HTML."""

import csv
import html
import io
from collections.abc import Iterable, Mapping, Sequence


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """CSV with one line per row and the union of all columns; NaN (unknown) is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value != value else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def plain_text(title: str, cells: Iterable[Sequence[str]], more: Sequence[str] = ()) -> str:
    """The title, right-aligned columns (the first row is the header), and the lines ``more``."""
    head, *rows = cells
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join([title, *(line.rstrip() for line in lines if rows), *more])


def html_text(title: str, cells: Iterable[Sequence[str]], more: Sequence[str] = ()) -> str:
    """The same table as HTML, for notebooks."""
    head, *rows = [[html.escape(cell) for cell in row] for row in cells]
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f"<p>{html.escape(title)}</p>{table}{''.join(f'<p>{line}</p>' for line in more)}"
