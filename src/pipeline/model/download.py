"""Files from an address whose sha256 is known: whole and right, or not there at all."""

import os
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock
from tqdm.auto import tqdm

from clever.errors import InputError
from pipeline.shared.classifier import sha256_of

TIMEOUT = 30.0
"""Seconds in which a server must connect, and say something more."""
ATTEMPTS = 4
"""In a row without one byte more than before, after which it is given up."""
PAUSE = 1.0
"""Seconds before the second of these; each next one is twice as long."""
CHUNK = 1 << 16
"""Bytes that are read at once; what a broken connection can lose of those that came."""
FOR_NOW = (408, 425, 429)
"""Answers that blame the request, but only for the moment."""


def fetched(url: str, sha256: str, folder: Path) -> Path:
    """The file in the folder, downloaded if it is not there already.

    What is downloaded grows under the name ``.part`` and is renamed once its sha256 is right; a connection that breaks,
    or a run that is killed, goes on where it was if the server allows, and begins anew if not. `InputError` for an
    address that is none, a server that refuses or stays away, and for another file than the one asked for, which is
    deleted.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"weights.url={url}: it must be an address of http:// or https://")
    name = re.sub(r"[^\w.-]", "_", Path(parts.path).name)[-60:]
    path = folder / f"{sha256[:16]}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{path.name}.lock"):
        if path.is_file():
            if sha256_of(path) == sha256:
                return path
            path.unlink()  # damaged since
        part = folder / f"{path.name}.part"
        went_on = _complete(url, part)
        if went_on and sha256_of(part) != sha256:  # perhaps of two versions of the file
            part.unlink()
            _complete(url, part)
        found = sha256_of(part)
        if found != sha256:
            part.unlink()
            raise InputError(f"weights.sha256={sha256}, but the sha256 of {url} is {found}; the download was deleted")
        part.replace(path)
    return path


def _complete(url: str, part: Path) -> bool:
    """Downloads what is missing of the file; whether it went on from a part."""
    went_on, most, failures = False, _size(part), 0
    while True:
        try:
            went_on |= _request(url, part)
            return went_on
        except requests.RequestException as error:
            went_on |= _size(part) > 0
            failures = 0 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= ATTEMPTS:
                raise InputError(
                    f"{url} cannot be downloaded: {error}. {_size(part)} bytes are kept, and the same command goes on "
                    "from there. With a copy of the file from elsewhere: weights=file weights.path=... "
                    "weights.sha256=..."
                ) from error
            time.sleep(PAUSE * 2 ** max(0, failures - 1))


def _request(url: str, part: Path) -> bool:
    """One request for the rest; whether the server went on from the part. `requests.RequestException`: try again."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return True  # it was all there
            part.unlink(missing_ok=True)
            raise requests.ConnectionError(f"the server has no byte {have} of it")
        if 400 <= response.status_code < 500 and response.status_code not in FOR_NOW:
            raise InputError(f"{url} cannot be downloaded: the server says {response.status_code} {response.reason}")
        response.raise_for_status()
        goes_on = response.status_code == requests.codes.partial_content
        start = have if goes_on else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        with (
            part.open("ab" if goes_on else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc="download") as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and _size(part) != total:
        raise requests.ConnectionError(f"the connection was cut at {_size(part)} of {total} bytes")
    return goes_on


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
