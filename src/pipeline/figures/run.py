"""Stage figures: draws what the stages before it computed."""

from functools import partial

import pandas as pd
from omegaconf import DictConfig

from pipeline.figures import draws, exact, networks, of_network, orders, published
from pipeline.shared import artifacts
from pipeline.shared.experiment import chosen, data_set


def run(config: DictConfig) -> None:
    """Draws the figures of the experiment, in its folder figures/, and those of its networks (`of_network`).

    Of the experiment: ``exact`` shows all cells, ``orders`` first and second order on all networks that have both,
    ``networks`` all networks, ``draws`` and ``published`` the tables of these names, where the stage aggregate left
    them. The first network's own figures lie beside these, those of the others in figures/NETWORK/.
    """
    name, folder = chosen(), artifacts.figures(config)
    tables = artifacts.needed(artifacts.tables(config), "aggregate", f" experiment={name}")
    text = {"id": str, "target": str}
    about = pd.read_csv(tables / "cells.csv", dtype={"cell": str})
    if (tables / "exact.csv").is_file():
        exact.draw(folder, pd.read_csv(tables / "exact.csv", dtype=text), about)
    orders.draw(folder, pd.read_csv(tables / "order_pairs.csv", dtype=text))
    if (tables / "networks.csv").is_file():
        networks.draw(folder, *(pd.read_csv(tables / f"{of}.csv", dtype=text) for of in ("networks", "agreement")))
    if (tables / "draws.csv").is_file():
        draws.draw(folder, pd.read_csv(tables / "draws.csv", dtype=text))
    if (tables / "published.csv").is_file():
        published.draw(folder, pd.read_csv(tables / "published.csv", dtype=text))
    # Pictures of images that `dvc repro` cannot prepare anywhere, and that may be others', are no part of the results.
    sheets = folder if data_set() in config.experiments.data else artifacts.sheets(config)
    folders = partial(artifacts.scores_of, config), partial(artifacts.attacks_of, config)
    sources = of_network.Sources(tables, *folders)
    for place, network in enumerate(with_figures(about)):
        of_network.draw(
            sources,
            about[about.network == network],
            folder / network if place else folder,
            sheets / network if place else sheets,
        )
    drawn = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.pdf"))
    print(f"{name}: {', '.join(drawn)} in {folder}" + f"; pictures of images in {sheets}" * (sheets != folder))


def with_figures(about: pd.DataFrame) -> list[str]:
    """The networks that have figures of their own: the first, and of others those with several defenses.

    Of trainings that differ in their seed alone, the first. Networks without defenses are compared by ``networks``.
    """
    first, *others = about.drop_duplicates("family").network
    return [first, *(other for other in others if about[about.network == other].defense.nunique() > 1)]
