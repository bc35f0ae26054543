"""Torchvision's labelled image data sets as data sets of the pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from clever.errors import InputError
from pipeline.prepare.choice import choose, require
from pipeline.prepare.source import Candidate
from pipeline.prepare.square import Square
from pipeline.prepare.torchvision_sets import SPLITS, check_split, opened

DOWNLOADS = ("auto", True, False)
TRAIN = "train"


@dataclass(frozen=True)
class Numbered:
    """An image, identified by its index in the data set."""

    index: int

    @property
    def id(self) -> str:
        """The index with five digits, as in CIFAR's file names."""
        return f"{self.index:05d}"


class Torchvision:
    """The ``split`` of torchvision's data set ``name``, stored in ``root`` or downloaded to it.

    ``ids``: a list of indices in the split, as numbers or ids of five digits, instead of ``n_images`` chosen by the
    seed. ``train_on``: the split to train on; "auto" is the split train, unless it is the one prepared; None for none.
    ``options``: further arguments of torchvision's class. ``size``, ``channels``, ``resize``: see `Square`.
    """

    def __init__(
        self,
        *,
        name: str,
        split: str,
        root: str,
        download: str | bool,
        n_images: int,
        ids: Sequence[int | str] | None,
        train_on: str | None,
        options: Mapping[str, object],
        size: int,
        channels: int,
        resize: bool | str,
    ) -> None:
        check_split(name, split, "data.split")
        if train_on == "auto":
            train_on = TRAIN if TRAIN in SPLITS[name] and split != TRAIN else None
        if train_on is not None:
            check_split(name, train_on, "data.train_on")
            if train_on == split:
                raise InputError(f"data.train_on and data.split are both {split}: choose different splits")
        if download not in DOWNLOADS:
            raise InputError(f"data.download is {download!r}: it must be auto or false")
        self.name, self.split, self.train_on = name, split, train_on
        self.root, self.download, self.options = Path(root).expanduser(), bool(download), dict(options)
        self.ids = None if ids is None else [Numbered(one).id if type(one) is int else str(one) for one in ids]
        self.n_images = n_images if ids is None else len(ids)
        self.square = Square(size=size, channels=channels, resize=resize)

    def candidates(self, seed: int) -> Iterator[Candidate]:
        """All images of the split in an order chosen by the seed, or those with the listed ids."""
        images = self._open(self.split)
        chosen = choose([Numbered(index) for index in range(len(images))], self.ids, seed)
        require(self.n_images, chosen, f"{self.name} ({self.split}) has")
        for one in chosen:
            source = f"torchvision.datasets.{self.name} {self.split}[{one.index}]"
            image, label = _labelled(images, one.index, source)
            load = partial(self.square.pixels, image, source)
            yield Candidate(one.id, label, _class_name(images, label), source, load)

    def training(self, seed: int) -> tuple[UInt8[np.ndarray, "image channel height width"], NDArray[np.int64]] | None:
        """All images of the training split; None if there is none."""
        if self.train_on is None:
            return None
        try:
            images = self._open(self.train_on)
        except InputError as error:
            raise InputError(f"{error}; data.train_on=null prepares no training images") from error
        pixels = np.empty((len(images), self.square.channels, self.square.size, self.square.size), np.uint8)
        labels = np.empty(len(images), np.int64)
        for index in tqdm(range(len(images)), unit="image", desc="training images"):
            source = f"torchvision.datasets.{self.name} {self.train_on}[{index}]"
            image, labels[index] = _labelled(images, index, source)
            pixels[index] = self.square.pixels(image, source)
        return pixels, labels

    def _open(self, split: str) -> Any:
        return opened(self.name, split, self.root, download=self.download, options=self.options)


def _labelled(images: Any, index: int, source: str) -> tuple[Image.Image, int]:
    try:
        image, label = images[index]
    except (OSError, SyntaxError) as error:  # Pillow's errors for a broken file
        raise InputError(f"{source} cannot be read: {error}") from error
    if not isinstance(label, Integral) or isinstance(label, bool) or int(label) < 0:
        raise InputError(f"{source} has the label {label!r}, not a class number: change data.split or data.options")
    return image, int(label)


def _class_name(images: Any, label: int) -> str:
    names = getattr(images, "classes", ())
    return str(names[label]) if label < len(names) else str(label)
