"""Lists all labelled ImageNet validation images in a folder."""

import os
import re
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from torchvision.datasets.imagenet import load_meta_file, parse_devkit_archive
from torchvision.models import DenseNet121_Weights

from clever.errors import InputError
from pipeline.prepare.labelled import Labelled, images_below, unique

#: The 1000 wnids, sorted: a wnid's position is its label in torchvision and in the authors' networks.
WNIDS = tuple(files("pipeline.prepare").joinpath("imagenet_wnids.txt").read_text("ascii").split())
NAMES: list[str] = DenseNet121_Weights.IMAGENET1K_V1.meta["categories"]
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"

_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_[0-9]{8}")


def entries(root: Path) -> list[Labelled]:
    """All labelled images below the root, sorted by their unique ids; images are listed, not opened.

    They are in the root or its folder ``val``: in one folder per wnid, or all in one folder with torchvision's devkit
    archive in it or its parent. A validation image has the same id in both layouts; class folders take precedence.
    """
    root = Path(os.path.abspath(root.expanduser()))
    if not root.is_dir():
        raise InputError(f"data.root={root}: there is no such folder")
    folder = root / "val" if (root / "val").is_dir() else root
    try:
        found = _class_folders(root, folder) or _flat_folder(root, folder)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not found:
        raise InputError(
            f"no labelled image in {folder}: looked for one folder per wnid, such as {WNIDS[0]}/, and for "
            f"ILSVRC2012_val_00000001.JPEG and so on, with {DEVKIT} in {folder} or its parent"
        )
    return unique(found)


def _class_folders(root: Path, folder: Path) -> list[Labelled]:
    found = []
    for label, wnid in enumerate(WNIDS):
        if (folder / wnid).is_dir():
            for source in images_below(root, (folder / wnid).relative_to(root).as_posix()):
                stem = Path(source).stem
                name = stem if _VALIDATION_NAME.fullmatch(stem) else f"{wnid}/{stem}"
                found.append(Labelled(name, label, NAMES[label], source, root / source))
    return found


def _flat_folder(root: Path, folder: Path) -> list[Labelled]:
    images = [path for path in folder.glob("*.JPEG") if _VALIDATION_NAME.fullmatch(path.stem)]
    labels = _ground_truth(folder) if images else []
    found = []
    for image in images:
        number = int(image.stem[-8:])
        if not 1 <= number <= len(labels):
            raise InputError(f"{image}: {DEVKIT} has labels only for images 1 to {len(labels)}")
        label = labels[number - 1]
        found.append(Labelled(image.stem, label, NAMES[label], image.relative_to(root).as_posix(), image))
    return found


def _ground_truth(folder: Path) -> list[int]:
    """The labels in the order of the images, from the devkit in the folder or its parent."""
    above = (folder, folder.parent)
    archive = next((place / DEVKIT for place in above if (place / DEVKIT).is_file()), None)
    if archive is None:
        raise InputError(f"no labels for {folder}/ILSVRC2012_val_*.JPEG: {DEVKIT} is not in {folder} or its parent")
    with TemporaryDirectory() as scratch:
        try:
            parse_devkit_archive(scratch, str(archive))
        except RuntimeError as error:
            raise InputError(f"{archive} is damaged: its MD5 differs from the published devkit's") from error
        label_of = {wnid: label for label, wnid in enumerate(WNIDS)}
        return [label_of[wnid] for wnid in load_meta_file(scratch)[1]]
