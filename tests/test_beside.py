"""Tables that some experiments have: networks beside each other, scores by draws, defenses; on numbers by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.aggregate.defenses import TABLE, summarise_defenses
from pipeline.aggregate.draws import scores_by_draws
from pipeline.aggregate.networks import AGREEMENT, agreement, compare_networks
from pipeline.aggregate.upper_bounds import join_distances, summarise_bounds
from pipeline.figures import draws as draws_figure
from pipeline.figures import networks as networks_figure
from pipeline.shared.stats.statistics import binomial_interval

SAME = {"norm": "L2", "target": "top2", "predicted": 0, "target_class": 1}


def networks(**of: list[tuple[float, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and distances, an image each, by network: ``a`` and ``a-no_path`` are its two cells."""
    rows = [
        SAME
        | {"cell": cell.replace("__", "-"), "network": cell[0], "id": f"i{n}", "score": score, "distance": distance}
        for cell, values in of.items()
        for n, (score, distance) in enumerate(values)
    ]
    several = any("__" in cell for cell in of)
    cells = [
        {"cell": cell.replace("__", "-"), "network": cell[0], "order": "first_order", "accuracy": 0.9, "defense": "{}"}
        | {"variant": "no_path" if "__" in cell else "path" if several else "first_order"}
        for cell in of
    ]
    return pd.DataFrame(rows), pd.DataFrame(cells)


def test_order_and_rank_agreement_of_networks_by_hand() -> None:
    rows, cells = networks(
        a=[(1, 2), (1, 2), (4, 9)],
        b=[(2, 4), (3, 4), (2, 3)],
        c=[(3, 8), (2, 8), (1, 1)],
    )
    (row,) = agreement(rows, cells, 0).itertuples()
    # image by image: all pairs agree; one of three is the other way round; all agree, in the other order
    assert row.tau == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert (row.same, row.images, row.kind) == (pytest.approx(2 / 3), 3, "first_order")
    assert (row.same_low, row.same_high) == binomial_interval(2, 3)
    assert row.by_score == "a < c < b"  # 4, 6, 12 are the products
    assert row.by_attack == "a < b < c"  # 36, 48, 64
    assert row.tau_within == pytest.approx(np.mean([1.0, _tau([2, 3, 2], [4, 4, 3]), _tau([3, 2, 1], [8, 8, 1])]))


def test_an_order_that_is_the_same_for_all_images_has_the_interval_of_their_share_alone() -> None:
    """No resample of eight images with tau 1 has another one, though a third of all images may."""
    agree, differ = [(1, 2)] * 8, [(1, 2)] * 4 + [(9, 2)] * 4
    (row,) = agreement(*networks(a=agree, b=[(2, 4)] * 8), 0).itertuples()
    assert (row.tau, row.same) == (1, 1)
    assert np.isnan([row.tau_low, row.tau_high]).all()
    assert (row.same_low, row.same_high) == binomial_interval(8, 8)
    shown = AGREEMENT.printed.text(agreement(*networks(a=agree, b=[(2, 4)] * 8), 0)).iloc[0]
    assert (shown["Kendall's tau"], shown["same order"]) == ("1", "100% [63%, 100%]")
    (other,) = agreement(*networks(a=differ, b=[(2, 4)] * 8), 0).itertuples()
    assert other.tau_low < other.tau == 0 < other.tau_high


def _tau(x: list[float], y: list[float]) -> float:
    """Kendall's b, by its definition."""
    pairs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    both = sum(s * t for s, t in pairs)
    return float(both / np.sqrt(sum(abs(s) for s, _ in pairs) * sum(abs(t) for _, t in pairs)))


def test_means_are_geometric_over_images_that_all_networks_have() -> None:
    rows, cells = networks(a=[(1, 2), (4, 8), (9, np.inf)], b=[(2, 2), (2, 8), (5, 5)])
    table = compare_networks(rows, cells, 0).set_index("network")
    assert list(table.images) == [2, 2]
    assert (table.score["a"], table.distance["a"], table.score["b"]) == pytest.approx((2.0, 4.0, 2.0))
    assert (
        agreement(rows, cells, 0).images.item() == 1
    )  # the others' distances are equal; an infinite one has its place in an order


def test_cells_are_compared_with_those_of_their_kind() -> None:
    rows, cells = networks(a=[(1, 2)], b=[(2, 1)], a__no_path=[(1, 2)], b__no_path=[(2, 3)])
    found = agreement(rows, cells, 0).set_index("kind")
    assert dict(found.tau) == {"path": -1.0, "no_path": 1.0}


def test_one_network_has_no_order() -> None:
    rows, cells = networks(a=[(1, 2), (2, 3)])
    assert agreement(rows, cells, 0).empty
    assert compare_networks(rows, cells, 0).empty


def random(singles: list[list[float]], pairs: list[list[float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells of one draw and of two, one row per image; NaN where a cell's classifier errs."""
    rows, cells = [], []
    for draws, of_size in ((1, singles), (2, pairs)):
        for place, scores in enumerate(of_size):
            cell, told = f"{draws}at{place * draws}", {"class": "Mean", "draws": draws, "first": place * draws}
            told["transformation"] = {"class": "Noise", "std": 0.1}
            cells.append({"cell": cell, "network": "net", "defense": json.dumps(told)})
            known = [(n, score) for n, score in enumerate(scores) if not np.isnan(score)]
            rows += [SAME | {"cell": cell, "network": "net", "id": f"i{n}", "score": score} for n, score in known]
    return pd.DataFrame(rows), pd.DataFrame(cells)


def test_spread_over_sets_of_draws_and_worst_single_draws_by_hand() -> None:
    table = scores_by_draws(*random([[1, 5], [3, 2], [2, 4], [np.nan, 6]], [[2, 4], [4, 6]]))
    assert set(table.defense) == {"Noise (std 0.1)"}
    found = table.set_index(["way", "draws"])
    assert tuple(found.loc[("expectation", 1), ["sets", "images", "mean"]]) == (4, 2, pytest.approx(23 / 8))
    assert found.spread["expectation", 1] == pytest.approx(np.std([3, 2.5, 3, 3], ddof=1))  # the error counts 0
    assert tuple(found.loc[("expectation", 2), ["sets", "mean", "low", "high"]]) == (2, 4, 3, 5)
    assert found.spread["expectation", 2] == pytest.approx(np.sqrt(2))
    assert tuple(found.loc[("worst", 2), ["sets", "mean"]]) == (2, pytest.approx((1 + 2 + 0 + 4) / 4))
    assert tuple(found.loc[("worst", 4), ["sets", "mean"]]) == (1, pytest.approx(1.0))
    assert np.isnan(found.spread["worst", 4])


def test_sets_that_share_draws_are_not_taken_for_two() -> None:
    rows, cells = random([], [[2, 4], [4, 6]])
    told = json.loads(cells.defense[1]) | {"first": 1}
    cells.loc[1, "defense"] = json.dumps(told)
    assert scores_by_draws(rows, cells).sets.item() == 1


def test_an_experiment_without_random_defenses_has_no_such_table() -> None:
    rows, cells = networks(a=[(1, 2)])
    assert scores_by_draws(rows, cells.assign(defense='{"class": "PNG"}')).empty


def rated() -> pd.DataFrame:
    base = {"network": "net", "norm": "L2", "target": "top2", "predicted": 0}
    scores = [base | {"cell": cell, "id": f"i{n}", "score": 1.0} for cell in ("plain", "noise") for n in range(2)]
    distances = [
        *(base | {"cell": "plain", "id": f"i{n}", "distance": 2.0} for n in range(2)),
        base | {"cell": "noise", "id": "i0", "distance": 3.0, "rate": 0.6, "rate_unseen": 0.4},
        base | {"cell": "noise", "id": "i1", "distance": np.inf},
    ]
    return join_distances(pd.DataFrame(scores), pd.DataFrame(distances))


def test_rates_stand_beside_distances_and_average_over_what_was_found() -> None:
    bounds = summarise_bounds(rated(), 0).set_index("cell")
    assert (bounds.rate["noise"], bounds.rate_unseen["noise"], bounds.found["noise"]) == (0.6, 0.4, 0.5)
    assert np.isnan(bounds.rate["plain"])


def test_gains_and_costs_are_one_row_a_cell_and_absent_without_rates() -> None:
    bounds = summarise_bounds(rated(), 0)
    summary = bounds[["cell", "norm", "target"]].assign(
        mean=1.0, ratio=[1.0, 0.5], ratio_low=0.4, ratio_high=0.6, pairs=2
    )
    cells = pd.DataFrame({"cell": ["plain", "noise"], "accuracy": [0.9, 0.8]})
    table = summarise_defenses(summary, bounds, cells, {"noise": 3.5}).set_index("cell")
    assert tuple(table.loc["noise", ["accuracy", "ratio", "distance", "found", "rate"]]) == (0.8, 0.5, 3.0, 0.5, 0.6)
    assert table.gradient["noise"] == 3.5
    assert np.isnan(table.gradient["plain"])
    assert summarise_defenses(summary, bounds.drop(columns=["rate", "rate_unseen"]), cells, {}).empty
    shown = TABLE.printed.text(table.reset_index())
    assert list(shown.rate) == ["", "60%"]


def test_figures_are_drawn_where_there_is_something(tmp_path: Path) -> None:
    rows, cells = networks(a=[(1, 2), (2, 3)], b=[(2, 1), (4, 5)])
    networks_figure.draw(tmp_path, compare_networks(rows, cells, 0), agreement(rows, cells, 0))
    draws_figure.draw(tmp_path, scores_by_draws(*random([[1, 5], [3, 2]], [[2, 4]])))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{of}.{kind}" for of in ("draws", "networks") for kind in ("pdf", "png")
    }
    nothing = tmp_path / "nothing"
    networks_figure.draw(nothing, pd.DataFrame(), pd.DataFrame())
    draws_figure.draw(nothing, pd.DataFrame())
    assert not nothing.exists()
