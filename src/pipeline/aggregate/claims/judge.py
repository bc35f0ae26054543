"""The verdicts on all claims, from the tables of an experiment."""

import pandas as pd

from pipeline.aggregate.claims.claim import Claim, network_by_network
from pipeline.aggregate.claims.defended import equal_with_bpda, overestimates_without_bpda, uninformative_without_bpda
from pipeline.aggregate.claims.distances import below_the_distance
from pipeline.aggregate.claims.published import imagenet_scores, ordered_targets, reproduced
from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.aggregate.table import Table

OURS = "this project, order=gauge"


def claims(scores: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None, seed: int) -> list[Claim]:
    """All claims, each with a verdict for every network; trainings that differ only in their seed are one network.

    ``scores``: the rows of tables/scores.csv; ``cells``: of tables/cells.csv; ``published``: of tables/published.csv,
    if the experiment has it.
    """
    families = {str(family): family_cells for family, family_cells in cells.groupby("family", sort=False)}
    by_family = [_network_claims(scores, family_cells, published, seed) for family_cells in families.values()]
    return [network_by_network(dict(zip(families, same, strict=True))) for same in zip(*by_family, strict=True)]


def _network_claims(
    scores: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None, seed: int
) -> list[Claim]:
    scored = scores[scores.distance.notna()]
    main, attacked = cells[cells.order == "first_order"], cells[cells.cell.isin(scored.cell)]
    masked = main[~main.bpda]
    return [
        equal_with_bpda(scores, main, seed),
        uninformative_without_bpda(scores, masked),
        overestimates_without_bpda(scored, masked[masked.cell.isin(attacked.cell)]),
        below_the_distance(scored, attacked[attacked.bpda & (attacked.order == "first_order")], "First-order CLEVER"),
        below_the_distance(scored, attacked[attacked.order == "second_order"], "Second-order CLEVER"),
        below_the_distance(scored, attacked[attacked.order == "gauge"], "CLEVER with the gauge", OURS),
        ordered_targets(scores, main.drop_duplicates("network"), seed),
        reproduced(cells, published),
        imagenet_scores(),
    ]


def _table(data: ExperimentData) -> pd.DataFrame:
    """One row for each claim; ``evidence`` and ``networks`` may have several lines."""
    rows = claims(data.tables["scores"], data.cells, data.tables.get("published"), data.seed)
    return pd.DataFrame([claim.row() for claim in rows])


TABLE = Table("claims", _table)
