"""The table of kinds of scores, on rows that can be worked out by hand."""

import pandas as pd
import pytest

from pipeline.aggregate.describe import score_kind
from pipeline.aggregate.evidence import TABLE, evidence
from pipeline.shared.stats.statistics import binomial_interval

CELLS = pd.DataFrame(
    {
        "cell": ["plain", "gauge"],
        "defense": "{jpeg}",
        "transformation": "JPEG",
        "kind": ["first_order", "gauge, path"],
    }
)


def rows(**changes: object) -> pd.DataFrame:
    """Three images, two targets; the attack of one cell found what that of the other did not."""
    table = pd.DataFrame(
        [
            {
                "cell": cell,
                "id": f"i{image}",
                "target": target,
                "target_class": at,
                "score": score,
                "distance": distance,
            }
            for cell, scores, distances in (
                ("plain", [2, 2, 2, 1, 1, 1], [1, 4, 4, 4, 2, 9]),
                ("gauge", [1, 1, 1, 1, 1, 1], [2, 2, 4, 4, 2, 0]),
            )
            for (image, target, at), score, distance in zip(
                [(i, t, at) for i in range(3) for at, t in enumerate(("top2", "least"))], scores, distances, strict=True
            )
        ]
    )
    return table.assign(network="net", norm="L2", predicted=7, label=7, n_batches=5, n_samples=4, gradients=30).assign(
        **changes
    )


def test_the_strongest_attack_of_all_cells_judges_every_score() -> None:
    found = evidence(rows(), CELLS).set_index("kind")
    plain, gauge = found.loc["first_order"], found.loc["gauge, path"]
    # nearest of both cells: 1, 2 | 4, 4 | 2, 0: image 0 refutes plain's 2, image 2 is adversarial as it is
    assert (plain.images, plain.count_above, plain.at_zero) == (3, 2, 1)
    assert (gauge.images, gauge.count_above, gauge.at_zero) == (3, 1, 1)
    assert plain.median_ratio == pytest.approx(0.5)  # of 2, 1, 1/2, 1/4, 1/2
    assert gauge.median_ratio == pytest.approx(0.5)  # of 1, 1/2, 1/4, 1/4, 1/2
    assert (plain.share_above_low, plain.share_above_high) == binomial_interval(2, 3)
    assert plain.gradients == 30


def test_what_was_not_attacked_is_not_judged() -> None:
    table = rows()
    table.loc[table.cell == "gauge", "distance"] = float("nan")
    (only,) = evidence(table, CELLS).itertuples()
    assert (only.kind, only.gradients, only.count_above) == ("first_order", 30, 1)


def test_where_no_attack_found_anything_nothing_is_judged() -> None:
    table = rows()
    table["distance"] = table.distance.where(table.id != "i1", float("inf"))
    plain = evidence(table, CELLS).set_index("kind").loc["first_order"]
    assert (plain.images, plain.count_above) == (2, 2)
    none = evidence(rows(distance=float("inf")), CELLS)
    assert set(none.images) == {0}
    assert list(TABLE.printed.text(none)["images above"]) == ["0 of 0"] * 2
    assert (none.share_above_low[0], none.share_above_high[0]) == (0, 1)


def test_a_product_costs_two_gradients_and_those_of_the_path_are_counted() -> None:
    found = evidence(rows(products=[3.5] * 6 + [float("nan")] * 6), CELLS).set_index("kind")
    assert found.loc["first_order"].gradients == 30 + 20 * 2 * 3.5
    assert found.loc["gauge, path"].gradients == 30


def test_a_kind_is_named_by_what_was_added() -> None:
    assert score_kind("gauge", {"path": True, "ascent": 0}, "identity") == "gauge, path"
    assert score_kind("first_order", {"path": False, "ascent": 0}, "identity") == "first_order"
    assert score_kind("second_order", {"path": False, "ascent": 5}, "Smooth()") == "second_order, ascent, Smooth()"


def test_it_is_printed() -> None:
    shown = TABLE.printed.text(evidence(rows(), CELLS))
    assert list(shown.score) == ["first order", "gauge, path"]
    assert shown["images above"][0].startswith("2 of 3: 67% [")
