"""Verified array files: written atomically; a damaged or misplaced file is reported and never used."""

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
"""Version of the file format; increase it when the content of the files changes."""

FAILURES = {errno.ENOENT, errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of the disk or the machine, not of the file."""


def cache_key(key: Mapping[str, object]) -> str:
    """sha256 of the key, used as file name."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def save_verified(path: Path, belongs_to: str, arrays: Mapping[str, Any]) -> None:
    """Write the arrays with checksums (those of the npz format) and the key that they belong to."""
    about: dict[str, Any] = {"format": FORMAT, "belongs_to": belongs_to, "parts": sorted(arrays)}
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **about, **arrays))


def load_verified(path: Path, belongs_to: str) -> dict[str, NDArray[np.generic]] | None:
    """Read the arrays of a file; None, with a message on stderr, if it is damaged, outdated or belongs to another key.

    `FileNotFoundError` if it does not exist, `OSError` if the disk fails.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        written, owner, parts = int(arrays.pop("format")), str(arrays.pop("belongs_to")), arrays.pop("parts").tolist()
        if written != FORMAT:
            raise ValueError(f"its format is {written}, not {FORMAT}")
        if owner != belongs_to:
            raise ValueError("it belongs to another key")
        if parts != sorted(arrays):
            raise ValueError(f"it contains {', '.join(arrays)} instead of {', '.join(parts)}")
    except OSError as failed:
        if failed.errno == errno.ESTALE:  # removed by another machine on a shared disk
            raise FileNotFoundError(failed.errno, failed.strerror, str(path)) from failed
        if failed.errno in FAILURES:
            raise
        reason: object = failed
    except Exception as broken:  # a damaged file can raise nearly any exception
        reason = f"it has no {broken}" if isinstance(broken, KeyError) else broken
    else:
        return arrays
    print(f"{path} cannot be used and will be computed again: {reason}", file=sys.stderr)
    return None
