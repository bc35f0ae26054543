"""A figure of the stage: its files, their captions, and how it is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.figures.data import NetworkData


@dataclass(frozen=True)
class Figure:
    """A figure of each network or, with ``whole_experiment``, one figure of all networks.

    ``captions``: by file name. ``draw``: writes the files into a folder; may draw nothing. ``available``: whether the
    files that it needs in addition to the tables exist. ``shows_images``: it shows images of the data set, which must
    not be published with the results.
    """

    captions: Mapping[str, str]
    draw: Callable[[NetworkData, Path], None]
    whole_experiment: bool = False
    available: Callable[[NetworkData], bool] = lambda _: True
    shows_images: bool = False
