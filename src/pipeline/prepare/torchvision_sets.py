"""Torchvision's labelled image data sets: their names and splits, and how to open or download them."""

import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torchvision.datasets

from clever.errors import InputError
from pipeline.prepare.idx_files import IDX_SETS, unpacked

WHOLE = ("all",)
SPLITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("CIFAR10", "CIFAR100", *IDX_SETS, "EMNIST", "QMNIST", "USPS"), ("train", "test")),
    **dict.fromkeys(("Food101", "GTSRB", "STL10", "StanfordCars"), ("train", "test")),
    "SVHN": ("train", "test", "extra"),
    **dict.fromkeys(("DTD", "Flowers102", "PCAM", "RenderedSST2"), ("train", "val", "test")),
    "Country211": ("train", "valid", "test"),
    "FGVCAircraft": ("train", "val", "trainval", "test"),
    "Imagenette": ("train", "val"),
    "OxfordIIITPet": ("trainval", "test"),
    "Places365": ("train-standard", "train-challenge", "val"),
    **dict.fromkeys(("Caltech101", "Caltech256", "EuroSAT", "SEMEION", "SUN397"), WHOLE),
}
"""Data sets with one class per image. Torchvision's others have boxes, masks, captions, videos or no labels."""
BY_FLAG = ("CIFAR10", "CIFAR100", *IDX_SETS, "EMNIST", "QMNIST", "USPS")
"""Data sets whose split is chosen by ``train=True`` or ``False``."""
LAYOUTS = {
    "CIFAR10": "cifar-10-batches-py/",
    "CIFAR100": "cifar-100-python/",
    "SVHN": "train_32x32.mat or test_32x32.mat",
    **{name: f"{name}/raw/ with train-images-idx3-ubyte and its three companions, also as .gz" for name in IDX_SETS},
}
"""Contents of the root, for messages."""
TIMEOUT = 30.0
"""Seconds until a silent server counts as unreachable."""


def check_split(name: str, split: str, setting: str) -> None:
    """`InputError` with the valid names for an unknown data set or split."""
    if name not in SPLITS:
        known = " (not one class per image)" if name in torchvision.datasets.__all__ else ""
        raise InputError(f"data.name is {name!r}{known}: it must be one of {', '.join(sorted(SPLITS))}")
    if split not in SPLITS[name]:
        raise InputError(f"{setting} is {split!r}: for {name} it must be one of {', '.join(SPLITS[name])}")


def opened(name: str, split: str, root: Path, *, download: bool, options: Mapping[str, object]) -> Any:
    """Torchvision's data set, read from the root or, if missing there and with ``download``, downloaded into it.

    ``options``: further arguments of torchvision's class. `InputError` gives the expected files and the reason.
    """
    chosen = {"train": split == "train"} if name in BY_FLAG else {} if split in WHOLE else {"split": split}
    make = getattr(torchvision.datasets, name)
    with tempfile.TemporaryDirectory() as folder:
        place = unpacked(name, root, Path(folder)) if name in IDX_SETS else root
        try:
            return make(str(place), download=False, **chosen, **options)
        except (RuntimeError, OSError) as error:  # torchvision's errors for missing or damaged files
            missing = error
        except InputError:
            raise
        except Exception as error:  # wrong arguments, packages or contents can raise nearly anything
            raise InputError(
                f"torchvision cannot open {name} ({split}) in {root}: {error}; data.options={{NAME: VALUE}} passes "
                "further arguments"
            ) from error
    if not download:
        raise InputError(f"{_not_there(name, split, root, missing)}; data.download=auto downloads it") from missing
    try:
        with _timeout():
            return make(str(root), download=True, **chosen, **options)
    except Exception as error:  # so can servers
        raise InputError(
            f"{_not_there(name, split, root, missing)}, and it cannot be downloaded: {error}. If you have a "
            "copy, set data.root=FOLDER"
        ) from error


def _not_there(name: str, split: str, root: Path, reason: Exception) -> str:
    layout = LAYOUTS.get(name, "the files that torchvision's documentation lists")
    told = str(reason).split(" You can use download")[0].rstrip(".")
    return f"torchvision cannot read {name} ({split}) in data.root={root}: {told}; expected there: {layout}"


@contextmanager
def _timeout() -> Iterator[None]:
    """Sets a time limit for torchvision's downloads, which have none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
