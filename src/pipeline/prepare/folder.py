"""Any folder of labelled images as a data set of the pipeline."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from clever._internal.checks import require_bool
from clever.errors import InputError
from pipeline.prepare.choice import choose, require
from pipeline.prepare.labelled import Labelled, by_folders, by_table, class_names
from pipeline.prepare.preprocess import decode
from pipeline.prepare.source import Candidate, Pixels
from pipeline.prepare.square import Square


class Folder:
    """The images below ``root``: one folder per class, or those listed in the CSV ``labels`` (`labelled`).

    ``classes``: their order, as a list or a file with one name per line; sorted if None. ``ids``: a list of image ids,
    instead of ``n_images`` chosen by the seed; an id is the path relative to the root without suffix, or the file name
    alone if it is unique. ``train_on_rest``: the remaining images are used for training and as a source of patches,
    even if the folder is a test set. ``size``, ``channels``, ``resize``: see `Square`.
    """

    def __init__(
        self,
        *,
        root: str,
        n_images: int,
        ids: Sequence[str] | None,
        classes: Sequence[str] | str | None,
        labels: str | None,
        size: int,
        channels: int,
        resize: bool | str,
        train_on_rest: bool = False,
    ) -> None:
        require_bool("data.train_on_rest", train_on_rest)
        self.train_on_rest = train_on_rest
        self.root, self.ids = Path(root).expanduser().absolute(), ids
        self.labels = None if labels is None else Path(labels).expanduser()
        self.classes = class_names(classes)
        self.n_images = n_images if ids is None else len(ids)
        self.square = Square(size=size, channels=channels, resize=resize)

    def candidates(self, seed: int) -> Iterator[Candidate]:
        """All images of the folder in an order chosen by the seed, or those with the listed ids."""
        found = self._entries()
        chosen = self._chosen(found, seed)
        require(self.n_images, chosen, f"{self.root} holds")
        for entry in chosen:
            yield Candidate(entry.id, entry.label, entry.class_name, entry.source, partial(self._load, entry))

    def training(self, seed: int) -> tuple[UInt8[np.ndarray, "image channel height width"], NDArray[np.int64]] | None:
        """With ``train_on_rest``, all images except the first ``n_images`` candidates; otherwise None."""
        if not self.train_on_rest:
            return None
        found = self._entries()
        chosen = {entry.id for entry in self._chosen(found, seed)[: self.n_images]}
        rest = [entry for entry in found if entry.id not in chosen]
        if not rest:
            raise InputError(f"data.train_on_rest is true, but all {len(found)} images in {self.root} are chosen")
        return np.stack([self._load(entry) for entry in rest]), np.array([entry.label for entry in rest])

    def _chosen(self, found: list[Labelled], seed: int) -> list[Labelled]:
        return choose(found, None if self.ids is None else _full(self.ids, found), seed)

    def _entries(self) -> list[Labelled]:
        if not self.root.is_dir():
            raise InputError(f"data.root={self.root}: there is no such folder")
        try:
            if self.labels is None:
                return by_folders(self.root, self.classes)
            return by_table(self.root, self.labels, self.classes)
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error

    def _load(self, entry: Labelled) -> Pixels:
        return self.square.pixels(decode(entry.file.read_bytes()), str(entry.file))


def _full(ids: Sequence[str], found: list[Labelled]) -> list[str]:
    """The ids, with each unique file name replaced by the full id."""
    whole, by_name = {entry.id for entry in found}, defaultdict(list)
    for entry in found:
        by_name[entry.file.stem].append(entry.id)
    full = []
    for wanted in ids:
        of_name = by_name.get(wanted, [])
        if wanted not in whole and len(of_name) > 1:
            raise InputError(f"several images have the name {wanted!r}: {', '.join(of_name[:3])}: give the full id")
        full.append(wanted if wanted in whole or not of_name else of_name[0])
    return full
