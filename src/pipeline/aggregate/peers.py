"""Another program's scores of the same images, as rows beside ours (``peers``, `pipeline.aggregate.truth`)."""

from collections.abc import Mapping

import pandas as pd

from clever.errors import InputError
from pipeline.aggregate.calibration import COLUMNS
from pipeline.aggregate.given_table import given_table

IMAGE = ["network", "norm", "target", "id"]


def read(path: str) -> pd.DataFrame:
    """A row an image: ``method``, its ``value``, the ``gradients`` it cost, and ``weights``, the network's SHA-256.

    `InputError` for a file that is missing or is no such table.
    """
    return given_table("peers", path, ["weights", "norm", "target", "id", "method"], ["value", "gradients"])


def beside_ours(table: pd.DataFrame, ours: pd.DataFrame, weights: Mapping[str, str]) -> pd.DataFrame:
    """The rows of `read` for images of ``ours``, which has the distances, in its columns and at its first cell.

    ``weights``: of each network in ``ours``. `InputError` where one has no rows in the table: they were computed on
    other weights.
    """
    networks = {sha256: network for network, sha256 in weights.items()}
    theirs = table.assign(network=table.weights.map(networks))
    lacking = [network for network in ours.network.unique() if network not in set(theirs.network)]
    if lacking:
        known = ", ".join(sorted({sha256[:12] for sha256 in table.weights}))
        raise InputError(
            f"the table of peers has no row of the network {lacking[0]} of weights {weights[lacking[0]][:12]}: it has "
            f"those of {known}; peers=null leaves it out"
        )
    distances = ours.drop_duplicates(IMAGE)[[*IMAGE, "distance"]]
    first = ours.drop_duplicates("network").set_index("network").cell
    joined = theirs.merge(distances, on=IMAGE, how="inner", validate="many_to_one")
    return joined.assign(cell=joined.network.map(first), capped=False)[COLUMNS]
