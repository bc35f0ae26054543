"""Files from an address whose sha256 is known: whole and right, or not there at all."""

from pathlib import Path
from urllib.parse import urlsplit

import pooch

from clever.errors import InputError
from pipeline.shared.models.classifier import sha256_of

TIMEOUT = 30.0
"""Seconds in which a server must connect, and say something more."""
pooch.get_logger().setLevel("ERROR")


def fetch(url: str, sha256: str, path: Path) -> Path:
    """The file at the path, downloaded if it is not there already; ``sha256``: all of it, or how it begins.

    It is downloaded under another name and renamed once it is whole; where its sha256 is another one it is deleted.
    `InputError` for an address that is none, a server that refuses, stays away or breaks off, and for another file than
    the one asked for.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"weights.url={url}: it must be an address of http:// or https://")
    if path.is_file() and not sha256_of(path).startswith(sha256):
        path.unlink()  # damaged since
    download = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    try:
        pooch.retrieve(url, None, path.name, path.parent, downloader=download)
    except OSError as error:
        if error.errno is not None:  # of this machine: a full disk
            raise
        raise InputError(
            f"{url} cannot be downloaded: {error}. The same command tries again. With a copy of the file from "
            "elsewhere: weights=file weights.path=... weights.sha256=..."
        ) from error
    found = sha256_of(path)
    if not found.startswith(sha256):
        path.unlink()
        raise InputError(
            f"weights.sha256={sha256}, but the sha256 of {url} is {found}; the download was deleted. With a copy of "
            "the file from elsewhere: weights=file weights.path=... weights.sha256=..."
        )
    return path
