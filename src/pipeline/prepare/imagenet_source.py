"""ImageNet as a data set of the pipeline."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipeline.prepare.choice import choose, require
from pipeline.prepare.imagenet import entries
from pipeline.prepare.labelled import Labelled
from pipeline.prepare.preprocess import decode
from pipeline.prepare.preprocess import preprocessing as to_square
from pipeline.prepare.source import Candidate, Pixels


class ImageNet:
    """The validation images in the folder ``root``, in one of two layouts (`imagenet.entries`).

    ``ids``: a list of image ids, instead of ``n_images`` chosen by the seed. ``preprocessing``: how an image becomes a
    square of ``size`` pixels, "standard" or "reference_code" (`preprocess`).
    """

    def __init__(self, root: str, n_images: int, ids: Sequence[str] | None, preprocessing: str, size: int) -> None:
        self.root, self.ids = Path(root), ids
        self.n_images = n_images if ids is None else len(ids)
        self.preprocess = to_square(preprocessing, size)

    def candidates(self, seed: int) -> Iterator[Candidate]:
        """All images of the folder in an order chosen by the seed, or those with the listed ids."""
        found = choose(entries(self.root), self.ids, seed)
        require(self.n_images, found, f"{self.root} holds")
        for entry in found:
            yield Candidate(entry.id, entry.label, entry.class_name, entry.source, partial(self._load, entry))

    def training(self, seed: int) -> None:
        """None: there are no training images in the validation set."""
        return

    def _load(self, entry: Labelled) -> Pixels:
        return self.preprocess(decode(entry.file.read_bytes()))
