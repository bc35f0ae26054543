"""Arrays kept on disk: a file is there whole or not at all, and one that cannot be trusted is named and never used."""

import errno
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.shared.app.artifacts import write_atomically

FORMAT = 3
"""Of the files, to be raised when their content changes."""

FAILURES = {errno.ENOENT, errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Of the disk or the machine: they say nothing about the file."""


def cache_key(key: Mapping[str, object]) -> str:
    """The name of what is kept: the sha256 of all that decides it."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def save_verified(path: Path, belongs_to: str, arrays: Mapping[str, Any]) -> None:
    """Writes the arrays, with a checksum each, and what they belong to."""
    about: dict[str, Any] = {"format": FORMAT, "belongs_to": belongs_to, "parts": sorted(arrays)}
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **about, **arrays))


def load_verified(path: Path, belongs_to: str) -> dict[str, NDArray[np.generic]] | None:
    """The arrays of a file; None, and a line on stderr, for one that is damaged, of another version or out of place.

    `FileNotFoundError` where there is none, `OSError` where the disk itself fails.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        written, owner, parts = int(arrays.pop("format")), str(arrays.pop("belongs_to")), arrays.pop("parts").tolist()
        if written != FORMAT:
            raise ValueError(f"it is of format {written}, not {FORMAT}")
        if owner != belongs_to:
            raise ValueError("it belongs to another place")
        if parts != sorted(arrays):
            raise ValueError(f"it holds {', '.join(arrays)} instead of {', '.join(parts)}")
    except OSError as failed:
        if failed.errno == errno.ESTALE:  # removed by another machine that shares the disk
            raise FileNotFoundError(failed.errno, failed.strerror, str(path)) from failed
        if failed.errno in FAILURES:
            raise
        reason: object = failed
    except Exception as broken:  # a damaged file makes the reader raise nearly anything
        reason = f"it has no {broken}" if isinstance(broken, KeyError) else broken
    else:
        return arrays
    print(f"{path} cannot be used and is made anew: {reason}", file=sys.stderr)
    return None
