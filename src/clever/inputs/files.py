"""The files that the library reads and writes for its users."""

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from clever.errors import InputError

KINDS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of pictures."""


def write_text(path: str | os.PathLike[str] | None, text: str) -> str | None:
    """The text itself where there is no path; else it is written, as UTF-8. `InputError` where it cannot be."""
    if path is None:
        return text
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name a file in a folder that exists") from error
    return None


def in_a_folder(path: str | os.PathLike[str] | None) -> None:
    """`InputError` now, and not after long work, for a file in a folder that does not exist."""
    if path is not None and not Path(path).parent.is_dir():
        raise InputError(f"{path} cannot be written: {Path(path).parent} is no folder; name one that exists")


def pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder and of those in it, by name. `InputError` where there are none."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder: name one with pictures ({', '.join(KINDS)})")
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in KINDS)
    if not found:
        raise InputError(f"{folder} holds no picture: there must be one at least, with a suffix of {', '.join(KINDS)}")
    return found


def opened(paths: list[Path], mode: str, size: int | None) -> Iterator[Image.Image]:
    """The pictures in that mode; with a ``size`` the shorter side is scaled to it and the centre square cut out.

    `InputError` for what cannot be read, and without a ``size`` for pictures of several sizes.
    """
    first: tuple[int, int] | None = None
    for path in paths:
        try:
            with Image.open(path) as file:
                image = file.convert(mode)
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"{path} is no picture that can be read: {error}") from error
        if size is None:
            first = first or image.size
            if image.size != first:
                raise InputError(
                    f"{path} has {image.width} x {image.height} pixels, {paths[0]} {first[0]} x {first[1]}: all must "
                    "have one size, and --size N gives them one"
                )
        else:
            scale = size / min(image.size)
            width, height = (max(size, round(side * scale)) for side in image.size)
            left, top = (width - size) // 2, (height - size) // 2
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            image = image.crop((left, top, left + size, top + size))
        yield image
