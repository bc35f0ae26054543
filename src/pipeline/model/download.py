"""Downloads verified by sha256."""

from pathlib import Path
from urllib.parse import urlsplit

import pooch

from clever.errors import InputError
from pipeline.shared.models.classifier import sha256_of

TIMEOUT = 30.0
"""Seconds until a server must connect or send more data."""
pooch.get_logger().setLevel("ERROR")


def fetch(url: str, sha256: str, path: Path) -> Path:
    """Return the path, downloading the file if it is missing or damaged. ``sha256``: the hash or its beginning.

    The file is downloaded under a temporary name and replaces a damaged one only if its sha256 is right; else the
    download is deleted. `InputError` for an invalid address, a failed or interrupted connection, and another sha256.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"weights.url={url}: it must be a URL with http:// or https://")
    if path.is_file() and sha256_of(path).startswith(sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    download, arrived = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT), path.with_name(f"{path.name}.download")
    arrived.unlink(missing_ok=True)
    try:
        pooch.retrieve(url, None, arrived.name, arrived.parent, downloader=download)
    except OSError as error:
        if error.errno is not None:  # an error of this machine, such as a full disk
            raise
        raise InputError(
            f"{url} cannot be downloaded: {error}. Run the same command to try again, or use a copy of the "
            "file: weights=file weights.path=... weights.sha256=..."
        ) from error
    actual = sha256_of(arrived)
    if not actual.startswith(sha256):
        arrived.unlink()
        raise InputError(
            f"weights.sha256={sha256}, but the sha256 of {url} is {actual}; the download was deleted. To use a copy "
            "of the file: weights=file weights.path=... weights.sha256=..."
        )
    arrived.replace(path)
    return path
