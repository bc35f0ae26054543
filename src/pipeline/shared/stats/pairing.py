"""Pairs of comparable scores in two cells, and families of networks that differ only in the training seed."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.shared.stats.statistics import log_ratio

PAIR_KEYS = ["id", "predicted", "target_class", "norm", "target"]
"""Columns that must agree for two scores to be compared."""
CELL_SETTINGS = ["order", "sampling"]
"""Columns of the table of cells that distinguish cells of the same network and defense."""


def baselines(cells: pd.DataFrame) -> dict[str, str]:
    """Map each cell to its baseline; cells without one are omitted.

    Cells with the transformation and BPDA setting of the network's first cell are compared with that cell: the ratio
    isolates order and sampling. Any other cell is compared with the first of those that has the same order and sampling
    (`CELL_SETTINGS`): the ratio isolates the defense. It has no baseline if there is no such cell.
    """
    baseline: dict[str, str] = {}
    for _, network_cells in cells.groupby("network", sort=False):
        first = network_cells.iloc[0]
        undefended = (network_cells.transformation == first.transformation) & (network_cells.bpda == first.bpda)
        references = network_cells[undefended].drop_duplicates(CELL_SETTINGS)
        defended = network_cells[~undefended].merge(
            references[["cell", *CELL_SETTINGS]], on=CELL_SETTINGS, suffixes=("", "_reference")
        )
        baseline |= dict.fromkeys(network_cells.cell[undefended], str(first.cell))
        baseline |= dict(zip(defended.cell, defended.cell_reference, strict=True))
    return {cell: baseline[cell] for cell in cells.cell if cell in baseline}


def add_log_ratios(scores: pd.DataFrame, baseline: Mapping[str, str]) -> pd.DataFrame:
    """Add the column ``log_ratio``: log of each score divided by the matching score in its cell's baseline.

    NaN where the cell has no baseline, there is no matching score, or the ratio is undefined.
    """
    pair = scores.assign(cell=scores.cell.map(baseline))[["cell", *PAIR_KEYS]]
    reference = scores.set_index(["cell", *PAIR_KEYS]).score.reindex(pd.MultiIndex.from_frame(pair))
    return scores.assign(log_ratio=log_ratio(scores.score, reference))


def with_nearest_distances(scores: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The scores of ``cells`` that have an adversarial distance, with the smallest known ``distance``.

    That is the minimum over all cells of the same network and defense for the same image, norm and target class, so
    that scores are compared with the strongest attack. ``cells``: the columns ``cell``, ``defense``, ``transformation``
    (display name) and ``kind``, of cells with true gradients or BPDA.
    """
    attacked = scores[scores.distance.notna()].merge(cells[["cell", "defense", "transformation", "kind"]], on="cell")
    keys = ["network", "defense", "norm", "id", "predicted", "target_class"]
    return attacked.assign(distance=attacked.groupby(keys).distance.transform("min"))


def base_network(network: str, model: Mapping[str, Any]) -> str:
    """Name of a network without its training seed: mnist_mlp for mnist_mlp_0 with seed 0.

    ``model``: the network's ``model`` settings, which contain the seed (``recipe.seed``).
    """
    seed = training_seed(model)
    return network if seed is None else network.removesuffix(f"_{seed}")


def training_seed(model: Mapping[str, Any]) -> int | None:
    """The seed of the network's own training recipe, if it has one."""
    return (model.get("recipe") or {}).get("seed")


def network_families(models: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Map each network to its family, the networks that differ only in the training seed; else to its own name.

    ``models``: the ``model`` settings of each network by name. Members of a family share a `base_network` and all
    settings except name and seed, such as small_densenet and small_densenet_1.
    """
    settings = {network: json.dumps(_without_seed(model), sort_keys=True) for network, model in models.items()}
    names = {network: base_network(network, model) for network, model in models.items()}
    by_name: dict[str, list[str]] = {}
    for network, name in names.items():
        by_name.setdefault(name, []).append(settings[network])
    return {
        network: name if len(by_name[name]) > 1 and len(set(by_name[name])) == 1 else network
        for network, name in names.items()
    }


def _without_seed(model: dict[str, Any]) -> dict[str, Any]:
    recipe = {name: value for name, value in model.get("recipe", {}).items() if name != "seed"}
    return {name: value for name, value in model.items() if name not in ("name", "recipe")} | {"recipe": recipe}
