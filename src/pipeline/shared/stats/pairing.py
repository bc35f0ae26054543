"""Which scores are of the same thing in two cells, and which networks are trainings of the same one."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.shared.stats.statistics import log_ratio

PAIR_KEYS = ["id", "predicted", "target_class", "norm", "target"]
"""Two scores are compared only where both are of the same image, predicted class and target class."""


CELL_SETTINGS = ["order", "sampling"]
"""What distinguishes cells apart from network and defense, of the columns of a table of cells."""


def baselines(cells: pd.DataFrame) -> dict[str, str]:
    """For each cell the one that its scores are compared with; a cell that there is none for is left out.

    The cells of a network that have the transformation and BPDA of its first cell are compared with that cell, so that
    the ratio is of order or sampling alone. A cell with another transformation, or without BPDA, is compared with the
    first of those that has its own order and sampling (`SETTINGS`), so that the ratio is of the defense alone; where
    none has them, any ratio would be of both, and there is none.
    """
    found: dict[str, str] = {}
    for _, of_network in cells.groupby("network", sort=False):
        first = of_network.iloc[0]
        bare = (of_network.transformation == first.transformation) & (of_network.bpda == first.bpda)
        references = of_network[bare].drop_duplicates(CELL_SETTINGS)
        defended = of_network[~bare].merge(
            references[["cell", *CELL_SETTINGS]], on=CELL_SETTINGS, suffixes=("", "_reference")
        )
        found |= dict.fromkeys(of_network.cell[bare], str(first.cell))
        found |= dict(zip(defended.cell, defended.cell_reference, strict=True))
    return {cell: found[cell] for cell in cells.cell if cell in found}


def add_log_ratios(scores: pd.DataFrame, baseline: Mapping[str, str]) -> pd.DataFrame:
    """The scores with ``log_ratio``: of each to its pair in the cell that ``baseline`` names for its own.

    NaN where no cell is named, there is no such pair, or the ratio is not defined.
    """
    pair = scores.assign(cell=scores.cell.map(baseline))[["cell", *PAIR_KEYS]]
    reference = scores.set_index(["cell", *PAIR_KEYS]).score.reindex(pd.MultiIndex.from_frame(pair))
    return scores.assign(log_ratio=log_ratio(scores.score, reference))


def with_nearest_distances(scores: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The scores of ``cells`` that an attack stands beside, with what the cell is and the nearest ``distance`` of all.

    That is the smallest found in any cell of the same network and defense for the same image, norm and target class:
    the strongest attack, and not the one that made a path. ``cells``: ``cell``, ``defense``, ``transformation`` (its
    name for people), ``kind``, of cells with true gradients or BPDA.
    """
    known = scores[scores.distance.notna()].merge(cells[["cell", "defense", "transformation", "kind"]], on="cell")
    same = ["network", "defense", "norm", "id", "predicted", "target_class"]
    return known.assign(distance=known.groupby(same).distance.transform("min"))


def base_network(network: str, model: Mapping[str, Any]) -> str:
    """What a network is called apart from its training's seed: mnist_mlp for mnist_mlp_0, whose seed is 0.

    ``model``: the settings ``model`` of the network, which have the seed (``recipe.seed``).
    """
    seed = training_seed(model)
    return network if seed is None else network.removesuffix(f"_{seed}")


def training_seed(model: Mapping[str, Any]) -> int | None:
    """The seed of the network's own training recipe; None where it has none."""
    return (model.get("recipe") or {}).get("seed")


def network_families(models: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """For each network the name of its family: trainings that differ in their seed alone; else its own name.

    ``models``: the settings ``model`` of each network, by its name. Trainings of one network share a `base_network`,
    and their settings are the same but for name and seed: small_densenet and small_densenet_1.
    """
    settings = {network: json.dumps(_without_seed(model), sort_keys=True) for network, model in models.items()}
    names = {network: base_network(network, model) for network, model in models.items()}
    of_name: dict[str, list[str]] = {}
    for network, name in names.items():
        of_name.setdefault(name, []).append(settings[network])
    return {
        network: name if len(of_name[name]) > 1 and len(set(of_name[name])) == 1 else network
        for network, name in names.items()
    }


def _without_seed(model: dict[str, Any]) -> dict[str, Any]:
    recipe = {name: value for name, value in model.get("recipe", {}).items() if name != "seed"}
    return {name: value for name, value in model.items() if name not in ("name", "recipe")} | {"recipe": recipe}
