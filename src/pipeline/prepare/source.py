"""The interface of a data set in the pipeline."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

MOST_PIXELS = 4096
"""Maximal height and width of the network's input."""
Pixels = UInt8[np.ndarray, "channel height width"]


@dataclass(frozen=True)
class Candidate:
    """A labelled image that may be prepared. ``load`` returns its pixels at input size or raises `BrokenImage`."""

    id: str
    label: int
    class_name: str
    source: str
    load: Callable[[], Pixels]


class Source(Protocol):
    """A data set: labelled images in order of use."""

    n_images: int

    def candidates(self, seed: int) -> Iterable[Candidate]:
        """The images, chosen by the seed. `InputError` if there are none."""
        ...

    def training(self, seed: int) -> tuple[UInt8[np.ndarray, "image channel height width"], NDArray[np.int64]] | None:
        """Training images and labels, disjoint from the candidates; None if the data set is for evaluation only."""
        ...
