"""Another program's scores of the same images, joined with our distances (``peers``, `pipeline.aggregate.truth`)."""

from collections.abc import Mapping

import pandas as pd

from clever.errors import InputError
from pipeline.aggregate.calibration import COLUMNS
from pipeline.aggregate.given_table import given_table

IMAGE = ["network", "norm", "target", "id"]


def read(path: str) -> pd.DataFrame:
    """One row per image: ``method``, its ``value``, its cost in ``gradients``, and ``weights``, the network's SHA-256.

    `InputError` for a missing or invalid file.
    """
    return given_table("peers", path, ["weights", "norm", "target", "id", "method"], ["value", "gradients"])


def join_peers(table: pd.DataFrame, ours: pd.DataFrame, weights: Mapping[str, str]) -> pd.DataFrame:
    """The rows of `read` for images of ``ours``, with its distances and columns, listed at the network's first cell.

    ``weights``: the SHA-256 of each network in ``ours``. `InputError` if the table has no rows for one of them, as they
    were computed with other weights.
    """
    networks = {sha256: network for network, sha256 in weights.items()}
    theirs = table.assign(network=table.weights.map(networks))
    lacking = [network for network in ours.network.unique() if network not in set(theirs.network)]
    if lacking:
        available = ", ".join(sorted({sha256[:12] for sha256 in table.weights}))
        raise InputError(
            f"the table of peers has no row for the network {lacking[0]} with weights {weights[lacking[0]][:12]}, only "
            f"for weights {available}; peers=null omits the comparison"
        )
    distances = ours.drop_duplicates(IMAGE)[[*IMAGE, "distance"]]
    first = ours.drop_duplicates("network").set_index("network").cell
    joined = theirs.merge(distances, on=IMAGE, how="inner", validate="many_to_one")
    return joined.assign(cell=joined.network.map(first), capped=False)[COLUMNS]
