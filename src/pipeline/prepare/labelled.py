"""Labelled images below a folder: one folder per class, or a table of files and labels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pandas as pd
from torchvision.datasets.folder import IMG_EXTENSIONS

from clever.errors import InputError

SHOWN = 5
"""Maximal number of names in an error message."""


@dataclass(frozen=True)
class Labelled:
    """An image. Its id is its path relative to the root without suffix, so adding or removing other files keeps it."""

    id: str
    label: int
    class_name: str
    source: str
    file: Path


def class_names(classes: Sequence[str] | str | None) -> list[str] | None:
    """The classes in the order of the network's outputs, from a list or a file with one name per line; None for None.

    `InputError` for a missing file, an empty list, or a duplicate name.
    """
    if classes is None:
        return None
    if isinstance(classes, str):
        path = Path(classes).expanduser()
        if not path.is_file():
            raise InputError(
                f"data.classes={classes}: there is no such file; give a file with one name per line, or a list"
            )
        names = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    else:
        names = [str(name) for name in classes]
    if not names:
        raise InputError("data.classes is empty")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"data.classes lists {_few(twice)} more than once")
    return names


def by_folders(root: Path, classes: list[str] | None) -> list[Labelled]:
    """The images at any depth below folders named after their classes; without ``classes``, these are sorted by name.

    Hidden files are ignored. `InputError` if a folder is not one of the classes, or if there is no image.
    """
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = folders if classes is None else classes
    if unknown := [name for name in folders if name not in names]:
        raise InputError(f"{root} contains {_few(unknown)}, not in data.classes, which lists {_few(names)}")
    found = [
        Labelled(_id(source), label, name, source, root / source)
        for label, name in enumerate(names)
        if name in folders
        for source in images_below(root, name)
    ]
    if not found:
        there = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
        raise InputError(
            f"no labelled image in {root}, which contains {_few(there) or 'nothing'}: it must contain one folder per "
            "class, or set data.labels to a CSV with the columns file and label"
        )
    return unique(found)


def by_table(root: Path, table: Path, classes: list[str] | None) -> list[Labelled]:
    """The images in a CSV with the columns ``file`` (a path relative to the root) and ``label``.

    A label is one of ``classes`` or its index there, counted from 0; no index if the classes are numbers themselves.
    Without ``classes``, labels are class numbers or else names, which are sorted. `InputError` names the line.
    """
    if not table.is_file():
        raise InputError(f"data.labels={table}: there is no such file; give a CSV with the columns file and label")
    try:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{table} is not a valid CSV: {error}") from error
    if missing := [name for name in ("file", "label") if name not in rows]:
        raise InputError(f"{table} lacks {', '.join(missing)}: it has the columns {_few(list(map(str, rows)))}")
    files, labels = rows.file.tolist(), [label.strip() for label in rows.label]
    names = classes or ([] if all(map(_is_number, labels)) else sorted(set(labels)))
    by_place, found = not any(map(_is_number, names)), []
    for line, (name, label) in enumerate(zip(files, labels, strict=True), start=2):
        number = names.index(label) if label in names else int(label) if by_place and _is_number(label) else -1
        if number < 0 or (names and number >= len(names)):
            places = f", or 0 to {len(names) - 1}" * by_place
            raise InputError(f"{table}, line {line}: {label!r} is not a class: it must be one of {_few(names)}{places}")
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts:
            raise InputError(f"{table}, line {line}: {name!r} must be a path relative to {root}, without ..")
        if not (root / path).is_file():
            raise InputError(f"{table}, line {line}: {root / path} does not exist")
        found.append(Labelled(_id(str(path)), number, names[number] if names else label, str(path), root / path))
    if not found:
        raise InputError(f"{table} lists no images")
    return unique(found)


def images_below(root: Path, folder: str) -> list[str]:
    """Image files relative to the root, including broken links, so that these are reported."""
    walk = os.walk(root / folder, onerror=_fail, followlinks=True)
    paths = (Path(place) / name for place, _, names in walk for name in names)
    images = (path for path in paths if path.name.lower().endswith(IMG_EXTENSIONS) and not path.name.startswith("."))
    return sorted(path.relative_to(root).as_posix() for path in images)


def _id(source: str) -> str:
    return PurePosixPath(source).with_suffix("").as_posix()


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _fail(error: OSError) -> None:
    raise error


def unique(found: list[Labelled]) -> list[Labelled]:
    """The images sorted by id; `InputError` if two have the same id."""
    found.sort(key=lambda image: (image.id, image.source))
    for one, other in pairwise(found):
        if one.id == other.id:
            raise InputError(f"{one.source} and {other.source} have the same id {one.id}: keep one of them")
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
