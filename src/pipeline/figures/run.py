"""Stage figures: draws what the stages before it computed."""

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
    """Draws the figures of the registry (`pipeline.figures.registry`), and writes their captions to captions.json.

    The first network's own figures lie in the folder figures/ with those of the whole experiment, those of the others
    in figures/NETWORK/.
    """
    name, folder = require_experiment(), artifacts.figures_dir(config)
    tables = artifacts.require_output(artifacts.tables_dir(config), "aggregate", f" experiment={name}")
    files = ExperimentFiles(tables, partial(artifacts.scores_dir, config), partial(artifacts.attacks_dir, config))
    cells = files.table("cells")
    # Pictures of images that `dvc repro` cannot prepare anywhere, and that may be others', are no part of the results.
    image_folder = folder if data_set() in config.experiments.data else artifacts.image_figures_dir(config)
    networks, captions = networks_with_figures(cells), {}
    for place, network in enumerate(networks):
        data, below = NetworkData.read(files, cells[cells.network == network]), network if place else ""
        draw_network(data, folder / below, image_folder / below, whole_experiment=not place)
        for figure in FIGURES:
            of = f" ({cell_title(network)})" if len(networks) > 1 and not figure.whole_experiment else ""
            for file, caption in figure.captions.items():
                if (folder / below / f"{file}.png").is_file():
                    captions[(Path(below) / file).as_posix()] = caption + of
    artifacts.write_json(folder / "captions.json", captions)
    drawn = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.pdf"))
    print(
        f"{name}: {', '.join(drawn)} in {folder}" + f"; pictures of images in {image_folder}" * (image_folder != folder)
    )


def draw_network(data: NetworkData, folder: Path, image_folder: Path, *, whole_experiment: bool) -> None:
    """The figures of one network, pictures of images into ``image_folder``; those of the ``whole_experiment``, too."""
    missing: list[str] = []
    for figure in FIGURES:
        if figure.whole_experiment and not whole_experiment:
            continue
        if figure.available(data):
            figure.draw(data, image_folder if figure.shows_images else folder)
        else:
            missing += figure.captions
    if missing:
        print(f"{data.network}: no {', '.join(missing)}, since the files they are drawn from are not there")


def networks_with_figures(cells: pd.DataFrame) -> list[str]:
    """The networks that have figures of their own: the first, and of others those with several defenses.

    Of trainings that differ in their seed alone, the first. Networks without defenses are compared by ``networks``.
    """
    first, *others = cells.drop_duplicates("family").network
    return [first, *(other for other in others if cells[cells.network == other].defense.nunique() > 1)]
