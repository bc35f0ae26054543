"""What a figure of the stage is: its file, its caption, and how it is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.figures.data import NetworkData


@dataclass(frozen=True)
class Figure:
    """A figure of one network or, with ``whole_experiment``, of all, drawn once.

    ``captions``: by the names of its files, of which there may be several. ``draw``: into the folder; it may find
    nothing to draw. ``available``: whether the files are there that it needs beside the tables. ``shows_images``: its
    pictures of images may not be published with the results.
    """

    captions: Mapping[str, str]
    draw: Callable[[NetworkData, Path], None]
    whole_experiment: bool = False
    available: Callable[[NetworkData], bool] = lambda _: True
    shows_images: bool = False
