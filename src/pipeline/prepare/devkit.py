"""Which class a validation image of ImageNet belongs to, read from whichever ground truth people keep beside it."""

import csv
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TypeVar

import torch
from scipy.io import loadmat

from clever.errors import InputError

#: The 1000 wnids, sorted: a wnid's position is its label in torchvision, in Caffe and in the authors' networks.
WNIDS = tuple(files("pipeline.prepare").joinpath("imagenet_wnids.txt").read_text("ascii").split())
LABEL_OF = {wnid: label for label, wnid in enumerate(WNIDS)}

NUMBERS = "ILSVRC2012_validation_ground_truth.txt"
SYNSETS = "meta.mat"

T = TypeVar("T")


@dataclass(frozen=True)
class GroundTruth:
    """Labels by image name without its suffix, and the file that they were read from."""

    file: Path
    labels: dict[str, int]

    def label(self, image: str) -> int:
        """The label of an image, in 0..999; an image that the file leaves out is an `InputError`."""
        if image not in self.labels:
            raise InputError(f"{self.file} has no label for {image}, only for {len(self.labels)} other images")
        return self.labels[image]


def ground_truth(folders: Sequence[Path]) -> GroundTruth:
    """The first ground truth found in the folders, or in a devkit unpacked inside one of them.

    Where several lie there, the kind decides: Kaggle's, Caffe's, torchvision's, then the devkit. What is found is used:
    where it is damaged that is an `InputError`, never a reason to try the next.
    """
    places = [place for folder in folders for place in _with_devkits(folder)]
    for name, read in _READERS.items():
        if file := _first(places, name):
            return GroundTruth(file, _checked(file, partial(read, file)))
    numbers, synsets = _first(places, NUMBERS), _first(places, SYNSETS)
    if numbers and synsets:
        wnid_of = _checked(synsets, lambda: _leaves(synsets.read_bytes()))
        return GroundTruth(numbers, _checked(numbers, lambda: _numbered(numbers.read_bytes(), wnid_of)))
    looked = f"looked in {', '.join(map(str, folders))} and in devkit folders there"
    if numbers:
        raise InputError(
            f"{numbers} numbers the classes in the devkit's own order, which only the devkit's {SYNSETS} turns into "
            f"wnids: put {SYNSETS} or ILSVRC2012_devkit_t12.tar.gz beside it ({looked})"
        )
    raise InputError(
        f"no ground truth for the ILSVRC2012_val images: valid are {', '.join(_READERS)}, "
        f"or {NUMBERS} together with {SYNSETS} ({looked})"
    )


def _with_devkits(folder: Path) -> list[Path]:
    unpacked = sorted(path for path in folder.glob("*devkit*") if path.is_dir()) if folder.is_dir() else []
    return [place for base in (folder, *unpacked) for place in (base, base / "data")]


def _first(places: Iterable[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _checked(file: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except Exception as error:  # a damaged file makes its parser raise anything; here it is the file's fault
        raise InputError(
            f"{file} is damaged, or not the file that goes by the name {file.name}: {type(error).__name__}: {error}"
        ) from error


def _label_of(wnid: str) -> int:
    if wnid not in LABEL_OF:
        raise ValueError(f"{wnid!r} is none of the 1000 wnids, {WNIDS[0]} to {WNIDS[-1]}")
    return LABEL_OF[wnid]


def _in_image_order(wnids: Iterable[str]) -> dict[str, int]:
    return {f"ILSVRC2012_val_{number:08d}": _label_of(wnid) for number, wnid in enumerate(wnids, start=1)}


def _kaggle(file: Path) -> dict[str, int]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        return {row["ImageId"]: _label_of(row["PredictionString"].split()[0]) for row in csv.DictReader(lines)}


def _caffe(file: Path) -> dict[str, int]:
    rows = (line.rsplit(maxsplit=1) for line in file.read_text("utf-8-sig").splitlines() if line.strip())
    labels = {PurePosixPath(name).stem: int(label) for name, label in rows}
    # Kaggle's list of the same name counts its lines where Caffe's has the labels.
    for name, label in labels.items():
        if not 0 <= label < len(WNIDS):
            raise ValueError(f"{name} has the label {label}; valid are 0..{len(WNIDS) - 1}")
    return labels


def _torchvision(file: Path) -> dict[str, int]:
    _, wnids = torch.load(file, weights_only=True)
    return _in_image_order(wnids)


def _archive(file: Path) -> dict[str, int]:
    parts = {}
    with tarfile.open(file, "r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            # Regular files only: extractfile would follow a link.
            if name in (NUMBERS, SYNSETS) and member.isreg() and (stream := archive.extractfile(member)):
                parts[name] = stream.read()
    return _numbered(parts[NUMBERS], _leaves(parts[SYNSETS]))


def _leaves(synsets: bytes) -> dict[int, str]:
    """The wnid of each class number: of WordNet's tree, which the table holds whole, the leaves are the classes."""
    table = loadmat(BytesIO(synsets), squeeze_me=True)["synsets"]
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table if row["num_children"] == 0}


def _numbered(numbers: bytes, wnid_of: dict[int, str]) -> dict[str, int]:
    """Labels from the devkit's class numbers, one a line in the order of the images."""
    return _in_image_order(wnid_of[int(number)] for number in numbers.split())


_READERS: dict[str, Callable[[Path], dict[str, int]]] = {
    "LOC_val_solution.csv": _kaggle,
    "val.txt": _caffe,
    "meta.bin": _torchvision,
    "ILSVRC2012_devkit_t12.tar.gz": _archive,
}
