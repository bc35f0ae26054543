"""Stage figures: draws the results of the earlier stages."""

from functools import partial
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from pipeline.figures.data import ExperimentFiles, NetworkData
from pipeline.figures.registry import FIGURES
from pipeline.shared.app import artifacts
from pipeline.shared.app.experiment import data_set, require_experiment
from pipeline.shared.text.formats import cell_title


def run(config: DictConfig) -> None:
    """Draws the figures of the registry (`pipeline.figures.registry`) and writes their captions to captions.json.

    Figures of the whole experiment and of the first network are saved in figures/, those of other networks in
    figures/NETWORK/.
    """
    name, folder = require_experiment(), artifacts.figures_dir(config)
    tables = artifacts.require_output(artifacts.tables_dir(config), "aggregate", f" experiment={name}")
    files = ExperimentFiles(tables, partial(artifacts.scores_dir, config), partial(artifacts.attacks_dir, config))
    cells = files.table("cells")
    # Images that `dvc repro` cannot prepare on every machine may belong to third parties, so they are not published.
    image_folder = folder if data_set() in config.experiments.data else artifacts.image_figures_dir(config)
    networks, captions = networks_with_figures(cells), {}
    for place, network in enumerate(networks):
        data, below = NetworkData.read(files, cells[cells.network == network]), network if place else ""
        draw_network(data, folder / below, image_folder / below, whole_experiment=not place)
        for figure in FIGURES:
            suffix = f" ({cell_title(network)})" if len(networks) > 1 and not figure.whole_experiment else ""
            for file, caption in figure.captions.items():
                if (folder / below / f"{file}.png").is_file():
                    captions[(Path(below) / file).as_posix()] = caption + suffix
    artifacts.write_json(folder / "captions.json", captions)
    drawn = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.pdf"))
    print(f"{name}: {', '.join(drawn)} in {folder}" + f"; example images in {image_folder}" * (image_folder != folder))


def draw_network(data: NetworkData, folder: Path, image_folder: Path, *, whole_experiment: bool) -> None:
    """Draws one network's figures, and those of the ``whole_experiment``; example images go to ``image_folder``."""
    missing: list[str] = []
    for figure in FIGURES:
        if figure.whole_experiment and not whole_experiment:
            continue
        if figure.available(data):
            figure.draw(data, image_folder if figure.shows_images else folder)
        else:
            missing += figure.captions
    if missing:
        print(f"{data.network}: left out {', '.join(missing)}, whose input files are missing")


def networks_with_figures(cells: pd.DataFrame) -> list[str]:
    """The networks with their own figures: the first, and others that have several defenses.

    Only the first of trainings that differ in their seed counts. The figure ``networks`` compares the others.
    """
    first, *others = cells.drop_duplicates("family").network
    return [first, *(other for other in others if cells[cells.network == other].defense.nunique() > 1)]
