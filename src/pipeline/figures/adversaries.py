"""One image with each defense applied, its adversarial images, and the perturbations."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.figures.data import NetworkData
from pipeline.figures.figure import Figure
from pipeline.figures.style import figure, picture
from pipeline.shared.text.formats import cell_title

Images = dict[str, NDArray[np.float32]]


def draw(folder: Path, examples: dict[str, Images], titles: dict[str, str], target: str) -> None:
    """One row per cell: the original, the defended image, and for each norm the nearest adversarial image found and
    its magnified perturbation.

    ``examples``: for each cell "original", "defended" and "NORM TARGET" images, (channel, height, width) in [0,1]; the
    latter equals the original if no adversarial image was found. Perturbations are centred at grey and scaled so that
    the largest is black or white.
    """
    norms = [name.split()[0] for name in next(iter(examples.values())) if name.endswith(f" {target}")]
    columns = 2 + 2 * len(norms)
    with figure(folder, "adversaries", width=1.45 * columns, height=1.65 * len(examples) + 0.3) as drawn:
        grid = drawn.subplots(len(examples), columns, squeeze=False)
        for row, (cell, images) in zip(grid, examples.items(), strict=True):
            original = images["original"]
            _show(row[0], original, "original")
            row[0].set_ylabel(cell_title(cell), fontsize=8)
            row[0].set_xlabel(titles[cell], fontsize=6)
            _show(row[1], images["defended"], "defended")
            for norm, (adversarial, perturbation) in zip(norms, row[2:].reshape(-1, 2), strict=True):
                change = images[f"{norm} {target}"] - original
                largest = float(np.abs(change).max())
                _show(adversarial, images[f"{norm} {target}"], f"{norm} adversarial")
                if largest == 0:
                    _show(perturbation, np.full_like(original, 0.5), "none found")
                    continue
                _show(perturbation, 0.5 + 0.5 * change / largest, "perturbation")
                perturbation.set_xlabel(f"magnified {0.5 / largest:.3g} times", fontsize=6)
                adversarial.set_xlabel(f"{norm} distance {_norm(change, norm):.3g}", fontsize=6)


def _show(axes: Axes, image: NDArray[np.float32], title: str) -> None:
    picture(axes, image)
    axes.set_title(title, fontsize=7)


def _norm(change: NDArray[np.float32], norm: str) -> float:
    return float(np.linalg.norm(change.ravel(), {"L1": 1, "L2": 2, "Linf": np.inf}[norm]))


def _draw(data: NetworkData, folder: Path) -> None:
    attacked = data.adversarial_images
    first = {cell: data.main_scores[data.main_scores.cell == cell].iloc[0] for cell in attacked}
    examples = {}
    for cell, row in first.items():
        defended = data.defended_images[cell]
        examples[cell] = attacked[cell] | {"defended": defended["defended"][list(defended["id"]).index(row.id)]}
    titles = {cell: f"{row.id}\nclass {row.predicted} to {row.target_class}" for cell, row in first.items()}
    draw(folder, examples, titles, next(iter(first.values())).target)


FIGURE = Figure(
    {"adversaries": "One image with each defense, the nearest adversarial images found, and their perturbations"},
    _draw,
    available=lambda data: bool(data.adversarial_images),
    shows_images=True,
)
