"""The table of an experiment's cells, from their run records and the settings that the sweep varies."""

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
"""Columns copied from the run record."""
FROM_SAMPLING = ("path", "ascent", "estimator", "n_batches", "n_samples")
"""Columns copied from the run record's sampling settings."""
DECISIVE = ("network", "weights", "order", "order_settings", "defense", "bpda", "backward", "sampling", "compute")
"""Entries that determine the scores of a cell; cells with equal entries and equal attacks are duplicates."""
NETWORK_SETTINGS = ("model", "model.name")
"""Swept settings that choose the network; cells of several networks are matched by the other settings."""


def describe_cells(
    runs: Mapping[str, dict[str, Any]],
    strengths: Mapping[str, dict[str, Any]],
    swept: Mapping[str, Mapping[str, Any]],
    norms: Sequence[Norm],
) -> pd.DataFrame:
    """One row for each cell, including its ``baseline``, the cell it is compared with.

    A cell that duplicates an earlier one is left out: without a defense, BPDA has no effect. ``defense``, ``sampling``,
    ``swept``: JSON; ``transformation``: the defense in one line; ``defense_name``: its name in the sweep, else in the
    record. ``kind``: the kind of score, without network and defense (`score_kind`). ``variant``: a label of all swept
    settings except the network, which matches cells of several networks. ``base_network``: the network's name without
    the training ``seed``; ``family``: shared by trainings of one network.
    """
    unique: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        run["bpda"] |= is_undefended(run["defense"])
        if not any(_same(run, unique[earlier]) and strengths[name] == strengths[earlier] for earlier in unique):
            unique[name] = run
    records = list(unique.values())
    models = {run["network"]: run["weights"]["model"] for run in records}
    family, settings = network_families(models), [swept.get(name, {}) for name in unique]
    table = pd.DataFrame({"cell": list(unique)} | {column: [run[column] for run in records] for column in FROM_RECORD})
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
    """The kind of a cell's scores, without network and defense: ``gauge``, ``first_order, path`` and so on.

    ``backward``: the surrogate used by BPDA.
    """
    options = [name for name in ("path", "ascent") if sampling[name]]
    return ", ".join([order, *options, *([] if backward == "identity" else [backward])])


def _same(run: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    return all(run[name] == earlier[name] for name in DECISIVE)


def _of_norms(sampling: dict[str, Any], norms: Sequence[Norm]) -> dict[str, Any]:
    """The sampling settings without the radii of unused norms, which may differ between otherwise equal cells."""
    radius = sampling["radius"]
    return sampling | {"radius": {str(norm): float(radius[norm]) for norm in norms if norm in radius}}


TABLE = Table("cells", lambda data: data.cells, digits=None)
