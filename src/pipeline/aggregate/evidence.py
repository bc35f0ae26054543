"""Each kind of score behind each defense: how often the nearest attack refutes it, how tight it is, what it costs."""

import pandas as pd

from pipeline.aggregate import cost
from pipeline.aggregate.refuted import refuted
from pipeline.shared.pairing import by_the_nearest

BY = ["network", "defense", "norm"]


def kind(order: str, sampling: dict[str, object], backward: str) -> str:
    """What a cell's scores are, apart from network and defense: ``gauge``, ``first_order, path`` and so on.

    ``sampling``: its settings. ``backward``: what BPDA went back through.
    """
    added = [name for name in ("path", "ascent") if sampling[name]]
    return ", ".join([order, *added, *([] if backward == "identity" else [backward])])


def evidence(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, defense, norm and cell that was attacked, ``kind`` the kind of its scores.

    ``rows``: scores with their distances (`upper_bounds.beside`); ``cells``: as `by_the_nearest` takes them, which
    judges every score. The unit is the image: ``exceeding`` counts those with a score above for any target,
    ``share_exceeding`` has its exact binomial interval. ``median_ratio``: of score over distance, over targets and
    images at a positive and finite distance; ``at_zero``: images at distance 0. ``gradients``: of a score, in the mean.
    """
    known = by_the_nearest(rows, cells)
    known = known.assign(gradients=cost.gradients(known))
    found = []
    for (network, _, norm, cell), group in known.groupby([*BY, "cell"], sort=False):
        about = {"network": network, "defense": group.transformation.iloc[0], "norm": norm, "kind": group.kind.iloc[0]}
        at_zero = int((group.distance == 0).groupby(group.id).any().sum())
        found.append(
            about | {"cell": cell} | refuted(group) | {"at_zero": at_zero, "gradients": group.gradients.mean()}
        )
    return pd.DataFrame(found)
