"""Reading image files and writing results."""

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from clever.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of image files."""


def write_text(path: str | os.PathLike[str] | None, text: str) -> str | None:
    """Write the text as UTF-8 and return None; without a path, return the text. `InputError` if writing fails."""
    if path is None:
        return text
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name a file in a folder that exists") from error
    return None


def require_parent_folder(path: str | os.PathLike[str] | None) -> None:
    """`InputError`, before long computations, for an output file in a folder that does not exist."""
    if path is not None and not Path(path).parent.is_dir():
        raise InputError(f"{path} cannot be written: {Path(path).parent} is not a folder; name one that exists")


def image_paths(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files in a folder and its subfolders, sorted by path. `InputError` if there are none."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is not a folder: name one with images ({', '.join(SUFFIXES)})")
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(
            f"{folder} contains no images: it needs at least one file with a suffix among {', '.join(SUFFIXES)}"
        )
    return paths


def open_images(paths: list[Path], mode: str, size: int | None) -> Iterator[Image.Image]:
    """The images in that PIL mode; with ``size``, scaled so that the shorter side is ``size``, then centre-cropped.

    `InputError` for files that cannot be read, and without ``size`` for images of different sizes.
    """
    first: tuple[int, int] | None = None
    for path in paths:
        try:
            with Image.open(path) as file:
                image = file.convert(mode)
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"{path} cannot be read as an image: {error}") from error
        if size is None:
            first = first or image.size
            if image.size != first:
                raise InputError(
                    f"{path} has {image.width} x {image.height} pixels but {paths[0]} has {first[0]} x {first[1]}: all "
                    "must have the same size; --size N scales and crops them"
                )
        else:
            scale = size / min(image.size)
            width, height = (max(size, round(side * scale)) for side in image.size)
            left, top = (width - size) // 2, (height - size) // 2
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            image = image.crop((left, top, left + size, top + size))
        yield image
