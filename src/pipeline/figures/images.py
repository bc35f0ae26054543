"""Example images, original and with each defense applied."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import figure, picture
from pipeline.shared.text.formats import cell_title

SHOWN = 5


def draw(folder: Path, examples: dict[str, dict[str, NDArray[np.generic]]]) -> None:
    """Rows: images. Columns: cells. Each image is labelled with the largest change of a pixel value by the defense.

    ``examples``: for each cell the arrays of the stage score: "original" and "defended" (image, channel, height, width)
    in [0,1], "id" and "class_name" of each image.
    """
    first = next(iter(examples.values()))
    count = min(SHOWN, len(first["id"]))
    with figure(folder, "images", width=1.35 * len(examples), height=1.5 * count + 0.4) as drawn:
        grid = drawn.subplots(count, len(examples), squeeze=False)
        for column, (cell, arrays) in enumerate(examples.items()):
            for axes, original, image in zip(grid[:, column], arrays["original"], arrays["defended"], strict=False):
                picture(axes, image)
                change = float(np.abs(image - original).max())
                axes.set_xlabel(f"largest change {change * 255:.0f}/255" if change else "unchanged", fontsize=6)
            grid[0, column].set_title(cell_title(cell), fontsize=8)
        for axes, name, label in zip(grid[:, 0], first["class_name"], first["id"], strict=False):
            axes.set_ylabel(f"{str(name)[:18]}\n{label}", fontsize=7)


def _draw(data: NetworkData, folder: Path) -> None:
    cells = data.main_cells
    different = cells[cells.cell.isin(data.defended_images)].drop_duplicates("defense").cell
    draw(folder, {cell: data.defended_images[cell] for cell in different})


FIGURE = Figure(
    {"images": "Example images with each defense"},
    _draw,
    available=lambda data: bool(data.defended_images),
    shows_images=True,
)
