"""Torchvision's labelled image sets: which there are, with which splits, and how one is opened or fetched."""

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
"""All with one class an image. Torchvision's others have boxes, masks, captions, films or no labels."""
BY_FLAG = ("CIFAR10", "CIFAR100", *IDX_SETS, "EMNIST", "QMNIST", "USPS")
"""Those that take ``train=True`` or ``False`` for the split."""
LAYOUTS = {
    "CIFAR10": "cifar-10-batches-py/",
    "CIFAR100": "cifar-100-python/",
    "SVHN": "train_32x32.mat or test_32x32.mat",
    **{name: f"{name}/raw/ with train-images-idx3-ubyte and its three companions, .gz or not" for name in IDX_SETS},
}
"""What lies in the root, for messages."""
TIMEOUT = 30.0
"""Seconds that a server may say nothing."""


def check_split(name: str, split: str, setting: str) -> None:
    """`InputError` with the valid names for a set or a split that is not there."""
    if name not in SPLITS:
        known = " (it has no class an image)" if name in torchvision.datasets.__all__ else ""
        raise InputError(f"data.name is {name!r}{known}: it must be one of {', '.join(sorted(SPLITS))}")
    if split not in SPLITS[name]:
        raise InputError(f"{setting} is {split!r}: of {name} there are {', '.join(SPLITS[name])}")


def opened(name: str, split: str, root: Path, *, download: bool, options: Mapping[str, object]) -> Any:
    """The set as torchvision gives it, from the root, or fetched into it where it is not there and ``download`` allows.

    ``options``: further arguments of torchvision's. `InputError` says what lies where, and why it cannot be had.
    """
    chosen = {"train": split == "train"} if name in BY_FLAG else {} if split in WHOLE else {"split": split}
    make = getattr(torchvision.datasets, name)
    with tempfile.TemporaryDirectory() as folder:
        place = unpacked(name, root, Path(folder)) if name in IDX_SETS else root
        try:
            return make(str(place), download=False, **chosen, **options)
        except (RuntimeError, OSError) as error:  # so torchvision says that files are missing or damaged
            missing = error
        except InputError:
            raise
        except Exception as error:  # of arguments, packages and contents torchvision's readers raise nearly anything
            raise InputError(
                f"torchvision cannot open {name} ({split}) in {root}: {error}; data.options={{NAME: VALUE}} gives it "
                "further arguments"
            ) from error
    if not download:
        raise InputError(f"{_not_there(name, split, root, missing)}; data.download=auto fetches it") from missing
    try:
        with _timeout():
            return make(str(root), download=True, **chosen, **options)
    except Exception as error:  # and of servers, too
        raise InputError(
            f"{_not_there(name, split, root, missing)}, and it cannot be downloaded: {error}. With a copy from "
            "elsewhere: data.root=FOLDER"
        ) from error


def _not_there(name: str, split: str, root: Path, reason: Exception) -> str:
    layout = LAYOUTS.get(name, "what torchvision's documentation of it says")
    told = str(reason).split(" You can use download")[0].rstrip(".")
    return f"torchvision cannot read {name} ({split}) in data.root={root}: {told}; expected there: {layout}"


@contextmanager
def _timeout() -> Iterator[None]:
    """Torchvision's downloads have no time limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
