"""scikit-learn's handwritten digits, as small RGB images: a data set that needs no download."""

import hashlib
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from clever._internal.checks import require_int
from clever.errors import InputError
from pipeline.prepare.source import MOST_PIXELS, Candidate, Pixels


class Digits:
    """1797 digits of 8 x 8 pixels, enlarged bilinearly to RGB; ``n_images`` of them are held out from training."""

    def __init__(self, n_images: int, size: int) -> None:
        digits = load_digits()
        self.grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
        self.labels: NDArray[np.int64] = digits.target.astype(np.int64)
        if not 10 <= n_images <= len(self.grey) - 10:
            raise InputError(f"data.n_images is {n_images}: it must be from 10 to {len(self.grey) - 10}")
        require_int("data.size", size, 1, MOST_PIXELS)
        self.n_images, self.size = n_images, size

    def candidates(self, seed: int) -> Iterator[Candidate]:
        """The held-out digits, stratified by class, in an order chosen by the seed."""
        for index in self._split(seed)[1]:
            yield Candidate(
                id=f"digit-{index:04d}",
                label=int(self.labels[index]),
                class_name=str(self.labels[index]),
                source=f"sklearn.datasets.load_digits()[{index}]",
                load=partial(self._pixels, index),
            )

    def training(self, seed: int) -> tuple[Pixels, NDArray[np.int64]]:
        """All other digits."""
        kept = self._split(seed)[0]
        return np.stack([self._pixels(index) for index in kept]), self.labels[kept]

    def _split(self, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        everything = np.arange(len(self.labels))
        kept, held_out = train_test_split(
            everything, test_size=self.n_images, stratify=self.labels, random_state=_seed32(seed)
        )
        return kept, held_out

    def _pixels(self, index: int) -> Pixels:
        enlarged = Image.fromarray(self.grey[index]).resize((self.size, self.size), Resampling.BILINEAR)
        return np.repeat(np.asarray(enlarged)[None], 3, axis=0)


def _seed32(seed: int) -> int:
    # scikit-learn accepts 32 bits; the hash keeps different seeds different.
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "little")
