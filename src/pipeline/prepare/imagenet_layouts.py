"""The layouts in which people keep ImageNet's validation images; each finds its images in a folder, or none."""

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.models import DenseNet121_Weights

from clever.errors import InputError
from pipeline.prepare.devkit import LABEL_OF, ground_truth

ARCHIVE = "ILSVRC2012_img_val.tar"

_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_[0-9]{8}")
_AUTHORS_NAME = re.compile(r"([0-9]+)\.[0-9]+")


@dataclass(frozen=True)
class Entry:
    """One labelled image: a file, or a stretch of an archive. Nothing is read before `read`."""

    id: str
    label: int
    source: str  # relative to the root, so that a manifest says the same on every machine
    file: Path
    start: int = 0
    length: int = -1  # as for a file's read: all the rest

    @property
    def class_name(self) -> str:
        return _class_names()[self.label]

    def read(self) -> bytes:
        """The undecoded bytes of the image."""
        with self.file.open("rb") as stream:
            stream.seek(self.start)
            return stream.read(self.length)


@cache
def _class_names() -> tuple[str, ...]:
    return tuple(DenseNet121_Weights.IMAGENET1K_V1.meta["categories"])


def _images(folder: Path) -> Iterator[Path]:
    """Files with an image's suffix. Links that lead nowhere count: they are to be reported, not to vanish."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as listing:
        for item in listing:
            hidden = item.name.startswith(".")  # "._x.JPEG" is what macOS leaves beside x.JPEG on foreign disks
            if not hidden and item.name.lower().endswith(IMG_EXTENSIONS) and not item.is_dir():
                yield folder / item.name


def _class_folders(root: Path, folder: Path) -> list[Entry]:
    return [
        Entry(
            id=image.stem if _VALIDATION_NAME.fullmatch(image.stem) else f"{wnid}/{image.stem}",
            label=label,
            source=image.relative_to(root).as_posix(),
            file=image,
        )
        for wnid, label in LABEL_OF.items()
        for image in _images(folder / wnid)
    ]


def _validation_files(root: Path, folder: Path) -> list[Entry]:
    images = [image for image in _images(folder) if _VALIDATION_NAME.fullmatch(image.stem)]
    if not images:
        return []
    truth = ground_truth([folder, root, root.parent])
    return [Entry(image.stem, truth.label(image.stem), image.relative_to(root).as_posix(), image) for image in images]


def _validation_archive(root: Path, folder: Path) -> list[Entry]:
    archive = folder / ARCHIVE
    if not archive.is_file():
        return []
    truth = ground_truth([folder, root, root.parent])
    found = []
    try:
        with tarfile.open(archive, "r:") as members:
            for member in members:
                path = PurePosixPath(member.name)
                # A sparse member's bytes do not lie in one piece; links and devices have none.
                if member.isreg() and not member.issparse() and _VALIDATION_NAME.fullmatch(path.stem):
                    source = f"{archive.relative_to(root).as_posix()}/{path.name}"
                    label = truth.label(path.stem)
                    found.append(Entry(path.stem, label, source, archive, member.offset_data, member.size))
    except tarfile.TarError as error:
        raise InputError(f"{archive} is not a whole, uncompressed tar archive: {error}") from error
    return found


def _authors_files(root: Path, folder: Path) -> list[Entry]:
    found = []
    for image in _images(folder):
        if match := _AUTHORS_NAME.fullmatch(image.stem):
            label = int(match[1]) - 1  # theirs has a background class in front
            if not 0 <= label < len(LABEL_OF):
                # No skip: a class 0 most likely means that all the names count from 0, and every label would be wrong.
                raise InputError(f"{image} names the class {match[1]}; valid in class.id.jpg are 1..{len(LABEL_OF)}")
            found.append(Entry(image.stem, label, image.relative_to(root).as_posix(), image))
    return found


#: By what an error message calls them; the first that finds an image is taken.
LAYOUTS: dict[str, Callable[[Path, Path], list[Entry]]] = {
    "one folder per wnid, such as n01440764/": _class_folders,
    "ILSVRC2012_val_00000001.JPEG and so on, with a ground truth": _validation_files,
    "class.id.jpg with classes from 1, such as 1.12.jpg": _authors_files,
    f"{ARCHIVE}, with a ground truth": _validation_archive,
}
