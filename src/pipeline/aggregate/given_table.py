"""A table that a setting names: a CSV committed with the project, or a user's own."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from clever.errors import InputError


def given_table(
    setting: str, path: str, text: Sequence[str], numbers: Sequence[str], *, optional: Collection[str] = ()
) -> pd.DataFrame:
    """Its columns of ``text`` and ``numbers``, behind lines of # that tell the source; NaN for an ``optional`` one that
    is missing.

    `InputError` for a file that is missing or is no such table; it names the ``setting``.
    """
    columns = [*text, *numbers]
    if not Path(path).is_file():
        raise InputError(f"{setting}={path}: there is no such file")
    try:
        table = pd.read_csv(path, comment="#", dtype=dict.fromkeys(text, str))
        missing = [name for name in columns if name not in {*table, *optional}]
        if not missing:
            table = table.reindex(columns=columns).astype(dict.fromkeys(numbers, float))
    except ValueError as error:
        raise InputError(f"{setting}={path} is no table: {error}") from error
    if missing:
        raise InputError(f"{setting}={path} lacks {', '.join(missing)}: its columns must be {', '.join(columns)}")
    return table
