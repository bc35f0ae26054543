"""All claims, judged by the tables of an experiment."""

import pandas as pd

from pipeline.aggregate.claims.claim import Claim, network_by_network
from pipeline.aggregate.claims.defended import about_the_same, overestimates_without_bpda, uninformative_without_bpda
from pipeline.aggregate.claims.distances import below_the_distance
from pipeline.aggregate.claims.published import imagenet_scores, ordered_targets, reproduced
from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.aggregate.table import Table

OURS = "this project, order=gauge"


def claims(scores: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None, seed: int) -> list[Claim]:
    """All of them, each judged network by network; trainings that differ in their seed alone are one network.

    ``scores``: the rows of tables/scores.csv; ``cells``: what is known of each cell; ``published``: the rows of
    tables/published.csv where it is there.
    """
    families = {str(family): own for family, own in cells.groupby("family", sort=False)}
    judged = [_of_network(scores, own, published, seed) for own in families.values()]
    return [network_by_network(dict(zip(families, of, strict=True))) for of in zip(*judged, strict=True)]


def _of_network(scores: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None, seed: int) -> list[Claim]:
    attacked = scores[scores.distance.notna()]
    main, tried = cells[cells.order == "first_order"], cells[cells.cell.isin(attacked.cell)]
    masked = main[~main.bpda]
    return [
        about_the_same(scores, main, seed),
        uninformative_without_bpda(scores, masked),
        overestimates_without_bpda(attacked, masked[masked.cell.isin(tried.cell)]),
        below_the_distance(attacked, tried[tried.bpda & (tried.order == "first_order")], "First-order CLEVER"),
        below_the_distance(attacked, tried[tried.order == "second_order"], "Second-order CLEVER"),
        below_the_distance(attacked, tried[tried.order == "gauge"], "CLEVER by the gauge of a staircase", OURS),
        ordered_targets(scores, main.drop_duplicates("network"), seed),
        reproduced(cells, published),
        imagenet_scores(),
    ]


def _table(data: ExperimentData) -> pd.DataFrame:
    """A row for each claim; ``evidence`` and the verdicts on ``networks`` a line each."""
    found = claims(data.tables["scores"], data.cells, data.tables.get("published"), data.seed)
    return pd.DataFrame([claim.row() for claim in found])


TABLE = Table("claims", _table)
