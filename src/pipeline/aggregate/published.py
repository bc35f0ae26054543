"""A published table beside ours, where several trainings of a network that differ in their seed are the yardstick."""

import numpy as np
import pandas as pd

from pipeline.aggregate.given_table import given_table
from pipeline.shared.pairing import stem

QUANTITIES = {"clever": "score", "cw": "distance"}
"""What is published, and our column of it: CLEVER, and the distance of an attack."""


def read(path: str) -> pd.DataFrame:
    """Published averages over images, a row a network, norm and target, behind lines of # that tell their source.

    ``network`` is that of ours without the number of its seed: mnist_mlp for mnist_mlp_0 and mnist_mlp_1. `InputError`
    for a file that is missing or is no such table.
    """
    return given_table("published", path, ["network", "norm", "target"], list(QUANTITIES))


def compare(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row for each published number that some of our trainings stand beside.

    ``rows``: scores with the ``distance`` found beside each, NaN where there was no attack, of one cell a network.
    ``seeds``: how many trainings; over these ``mean``, ``low`` and ``high`` of their averages over images, for
    distances over the images that one was found for. ``outside``: how far the published number lies above the range
    (positive) or below it (negative), 0 within it; ``verdict``: the same in words, with a single training its own mean.
    """
    stems = rows.network.map(stem)
    found = []
    for known in table.itertuples(index=False):
        same = rows[(stems == known.network) & (rows.norm == known.norm) & (rows.target == known.target)]
        for quantity, column in QUANTITIES.items():
            published = float(getattr(known, quantity))
            values = same[np.isfinite(same[column])].groupby("network")[column].mean()
            if values.empty or np.isnan(published):
                continue
            low, high = float(values.min()), float(values.max())
            outside = published - min(max(published, low), high)
            found.append(
                {
                    "network": known.network,
                    "norm": known.norm,
                    "target": known.target,
                    "quantity": quantity,
                    "published": published,
                    "seeds": len(values),
                    "mean": float(values.mean()),
                    "low": low,
                    "high": high,
                    "outside": outside,
                    "verdict": _verdict(outside, low, high, len(values)),
                }
            )
    return pd.DataFrame(found)


def _verdict(outside: float, low: float, high: float, seeds: int) -> str:
    if outside == 0:
        return "within the range"
    nearest, side = (high, "above") if outside > 0 else (low, "below")
    return f"{abs(outside) / nearest:.0%} {side} {'the range' if seeds > 1 else 'the one training'}"
