"""The table's numbers, on scores whose summary can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from pipeline import tables
from pipeline.summary import interval, summarise


def scores(**cells: list[float]) -> pd.DataFrame:
    rows = [
        {
            "cell": cell,
            "norm": "L2",
            "target": "top2",
            "id": f"i{index}",
            "predicted": 0,
            "target_class": 1,
            "score": value,
            "capped": value >= 8,
            "end_point_fell_back": index == 0,
            "end_point_degenerate": False,
        }
        for cell, values in cells.items()
        for index, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_row_of_a_cell() -> None:
    table = summarise(scores(plain=[1, 2, 3, 8], jpeg=[2, 4, 6, 8]), "plain", 0).set_index("cell")
    row = table.loc["jpeg"]
    assert (row["mean"], row["median"], row.minimum, row.images, row.pairs) == (5, 5, 2, 4, 4)
    assert (row.share_capped, row.share_fell_back) == (0.25, 0.25)
    assert row.ratio == pytest.approx((2 * 2 * 2 * 1) ** 0.25)
    assert row.ratio_low <= row.ratio <= row.ratio_high
    assert row.mean_low <= row["mean"] <= row.mean_high
    assert tuple(table.loc["plain", ["ratio", "ratio_low", "ratio_high"]]) == (1, 1, 1)


def test_only_the_same_target_class_makes_a_pair() -> None:
    table = scores(plain=[1, 2, 4], jpeg=[2, 2, 99])
    table.loc[table.index[-1], "target_class"] = 5
    row = summarise(table, "plain", 0).set_index("cell").loc["jpeg"]
    assert row.pairs == 2
    assert row.ratio == pytest.approx(2**0.5)


def test_unbounded_scores_stay_unbounded() -> None:
    row = summarise(scores(plain=[1, 2], masked=[np.inf, np.inf]), "plain", 0).set_index("cell").loc["masked"]
    assert [row["mean"], row.mean_low, row.mean_high, row.ratio] == [np.inf] * 4


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in (interval(rng.normal(size=40), k) for k in range(300))]
    assert 0.90 < np.mean(covered) < 0.98


def test_the_printed_tables_hold_every_row() -> None:
    summary = summarise(scores(plain=[1, 2, 3], bit_depth=[2, 4, 6]), "plain", 0)
    for text in (tables.markdown(summary), tables.latex(summary)):
        assert "bit depth" in text
        assert "4 [2" in text
        assert "certif" not in text
    assert tables.latex(summary).count(r"\toprule") == 1
