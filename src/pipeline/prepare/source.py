"""What a data set offers to the pipeline."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

MOST_PIXELS = 4096
"""Of a side of an image as the network sees it."""
Pixels = UInt8[np.ndarray, "channel height width"]


@dataclass(frozen=True)
class Candidate:
    """A labelled image that may be prepared. ``load`` gives its pixels at network size, or raises `BrokenImage`."""

    id: str
    label: int
    class_name: str
    source: str
    load: Callable[[], Pixels]


class Source(Protocol):
    """A data set: labelled images in the order in which to use them."""

    n_images: int

    def candidates(self, seed: int) -> Iterable[Candidate]:
        """The images, chosen by the seed. `InputError` where there is none to choose from."""
        ...

    def training(self, seed: int) -> tuple[UInt8[np.ndarray, "image channel height width"], NDArray[np.int64]] | None:
        """Images and labels to train on, none of them a candidate; None where the data set is for evaluation only."""
        ...
