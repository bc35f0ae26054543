"""The images themselves, original and behind each defense."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from clever.bpda import Transformation
from pipeline.plots.style import figure
from pipeline.tables import named

SHOWN = 5


def draw(
    folder: Path,
    images: Float[Tensor, "image channel height width"],
    titles: list[str],
    defenses: dict[str, Transformation],
) -> None:
    """Rows: images. Columns: defenses, each titled with the largest change of a pixel value it makes."""
    images = images[:SHOWN]
    with figure(folder, "images", width=1.35 * len(defenses), height=1.5 * len(images) + 0.4) as drawn:
        grid = drawn.subplots(len(images), len(defenses), squeeze=False)
        for column, (name, defense) in enumerate(defenses.items()):
            changed = defense(images)
            for row, image in enumerate(changed):
                axes = grid[row, column]
                axes.imshow(np.asarray(image.permute(1, 2, 0)), vmin=0, vmax=1, interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                change = float((image - images[row]).abs().max())
                axes.set_xlabel(f"largest change {change * 255:.0f}/255" if change else "unchanged", fontsize=6)
            grid[0, column].set_title(named(name), fontsize=8)
        for row, title in enumerate(titles[: len(images)]):
            grid[row, 0].set_ylabel(title, fontsize=7)
