"""Reads a CSV table whose path is a setting: one committed with the project, or a user's own."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from clever.errors import InputError


def given_table(
    setting: str, path: str, text: Sequence[str], numbers: Sequence[str], *, optional: Collection[str] = ()
) -> pd.DataFrame:
    """The columns ``text`` and ``numbers`` of the file, after comment lines (#) that cite its source.

    ``optional`` columns may be missing and are then NaN. `InputError`, which names the ``setting``, for a missing or
    invalid file.
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
        raise InputError(f"{setting}={path} is not a valid table: {error}") from error
    if missing:
        raise InputError(f"{setting}={path} lacks {', '.join(missing)}: its columns must be {', '.join(columns)}")
    return table
