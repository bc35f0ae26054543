"""What each cell of an experiment is, in typed columns, by its run record and by the settings that the sweep varies."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from clever.norms import Norm
from pipeline.aggregate.table import Table
from pipeline.shared.app.experiment import cell_label
from pipeline.shared.stats.pairing import base_network, baselines, network_families, training_seed
from pipeline.shared.text.described import defense_name, describe_defense, is_undefended

FROM_RECORD = (
    *("network", "order", "defense", "bpda", "accuracy", "scored"),
    *("left_out_misclassified", "left_out_not_finite"),
)
"""Columns that are in the run record as they are."""
FROM_SAMPLING = ("path", "ascent", "estimator", "n_batches", "n_samples")
"""Columns that are in the record's settings of sampling."""
DECISIVE = ("network", "weights", "order", "order_settings", "defense", "bpda", "backward", "sampling", "compute")
"""What decides the scores of a cell: two cells that agree in these and in their attacks are one."""
NETWORK_SETTINGS = ("model", "model.name")
"""Swept settings that choose the network: cells of several networks are compared by the others."""


def describe_cells(
    runs: Mapping[str, dict[str, Any]],
    strengths: Mapping[str, dict[str, Any]],
    swept: Mapping[str, Mapping[str, Any]],
    norms: Sequence[Norm],
) -> pd.DataFrame:
    """A row for each cell, and the cell that it is compared with.

    A cell that repeats an earlier one is left out: without a transformation, BPDA or not is all the same. ``defense``,
    ``sampling``, ``swept``: JSON; ``transformation``: the defense in one line; ``defense_name``: that of the sweep's
    choice, else the record's. ``kind``: what the scores are, apart from network and defense (`score_kind`).
    ``variant``: a label of all that the sweep varies but for the network, by which cells of several networks
    correspond. ``base_network``: the network without its training's ``seed``; ``family``: the same for networks of
    which there are several trainings.
    """
    kept: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        run["bpda"] |= is_undefended(run["defense"])
        if not any(_same(run, kept[other]) and strengths[name] == strengths[other] for other in kept):
            kept[name] = run
    records = list(kept.values())
    models = {run["network"]: run["weights"]["model"] for run in records}
    family, settings = network_families(models), [swept.get(name, {}) for name in kept]
    table = pd.DataFrame({"cell": list(kept)} | {column: [run[column] for run in records] for column in FROM_RECORD})
    order = [*table.columns]
    table["transformation"] = table.defense.map(describe_defense)
    table["kind"] = [score_kind(run["order"], run["sampling"], run["backward"]) for run in records]
    table["defense_name"] = [
        str(values.get("defense", defense_name(run["defense"]))) for values, run in zip(settings, records, strict=True)
    ]
    table["variant"] = [
        cell_label(values, NETWORK_SETTINGS) or run["order"] for values, run in zip(settings, records, strict=True)
    ]
    for column in FROM_SAMPLING:
        table[column] = [run["sampling"][column] for run in records]
    table["backward"] = [run["backward"] for run in records]
    table["base_network"] = [base_network(network, models[network]) for network in table.network]
    table["seed"] = pd.array([training_seed(models[network]) for network in table.network], dtype="Int64")
    table["defense"] = table.defense.map(json.dumps)
    table["sampling"] = [json.dumps(_of_norms(run["sampling"], norms)) for run in records]
    table["swept"] = [json.dumps(values) for values in settings]
    table.insert(1, "baseline", table.cell.map(baselines(table)))
    table.insert(order.index("network") + 2, "family", table.network.map(family))
    return table


def score_kind(order: str, sampling: Mapping[str, Any], backward: str) -> str:
    """What a cell's scores are, apart from network and defense: ``gauge``, ``first_order, path`` and so on.

    ``backward``: the surrogate that BPDA differentiated.
    """
    added = [name for name in ("path", "ascent") if sampling[name]]
    return ", ".join([order, *added, *([] if backward == "identity" else [backward])])


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in DECISIVE)


def _of_norms(sampling: dict[str, Any], norms: Sequence[Norm]) -> dict[str, Any]:
    """Without the radii of norms that nothing was scored in, which may differ where nothing else does."""
    radius = sampling["radius"]
    return sampling | {"radius": {str(norm): float(radius[norm]) for norm in norms if norm in radius}}


TABLE = Table("cells", lambda data: data.cells, digits=None)
