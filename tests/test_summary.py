"""The table's numbers, on scores whose summary can be worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clever.norms import Norm
from pipeline.aggregate.comparison import TABLE as ORDERS
from pipeline.aggregate.comparison import compare, pairs
from pipeline.aggregate.describe import describe_cells
from pipeline.aggregate.summary import TABLE, summarise
from pipeline.shared.stats.pairing import baselines
from pipeline.shared.text import printed

BASELINE = dict.fromkeys(["plain", "jpeg", "masked", "bit_depth"], "plain")


def scores(**cells: list[float]) -> pd.DataFrame:
    rows = [
        {
            "network": "net",
            "cell": cell,
            "norm": "L2",
            "target": "top2",
            "id": f"i{index}",
            "predicted": 0,
            "target_class": 1,
            "score": value,
            "already_changed": value == 3,
            "capped": value >= 8,
            "raised_to_x0": value <= 2,
            "on_path": False,
            "end_point_unbounded": False,
            "end_point_fit_failed": index == 0,
            "end_point_degenerate": False,
        }
        for cell, values in cells.items()
        for index, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_row_of_a_cell() -> None:
    table = summarise(scores(plain=[1, 2, 3, 8] * 2, jpeg=[2, 4, 6, 8] * 2), BASELINE, {}, 0).set_index("cell")
    row = table.loc["jpeg"]
    assert (row["mean"], row["median"], row.minimum, row.images, row.pairs) == (5, 5, 2, 8, 8)
    assert (row.already_changed, table.loc["plain"].already_changed) == (0, 2)
    assert (row.share_capped, row.share_raised_to_x0, row.share_fit_failed) == (0.25, 0.25, 0.125)
    assert row.ratio == pytest.approx((2 * 2 * 2 * 1) ** 0.25)
    assert row.ratio_low <= row.ratio <= row.ratio_high
    assert row.mean_low <= row["mean"] <= row.mean_high
    assert tuple(table.loc["plain", ["ratio", "ratio_low", "ratio_high"]]) == (1, 1, 1)


def test_the_intervals_of_ratios_and_gains_are_of_95_percent() -> None:
    """As long as Student's intervals of 40 logarithms."""
    logs = np.random.default_rng(0).normal(size=40)
    reach = 2 * 2.023 * logs.std(ddof=1) / np.sqrt(40)
    table = scores(plain=[1.0] * 40, jpeg=list(np.exp(logs)))
    row = summarise(table, BASELINE, {}, 0).set_index("cell").loc["jpeg"]
    both = orders(plain=[1.0] * 40, plain_second=list(np.exp(logs)))
    (gain,) = compare(pairs(both, cells_of(both), {cell: {} for cell in both.cell}), 0).itertuples()
    for low, high in ((row.ratio_low, row.ratio_high), (row.ratio_all_low, row.ratio_all_high)):
        assert np.log(high / low) == pytest.approx(reach, rel=0.15)
    assert np.log(gain.gain_high / gain.gain_low) == pytest.approx(reach, rel=0.15)
    assert row.mean_high - row.mean_low == pytest.approx(2 * 2.023 * np.exp(logs).std(ddof=1) / np.sqrt(40), rel=0.15)


def test_only_the_same_target_class_makes_a_pair() -> None:
    table = scores(plain=[1, 2, 4], jpeg=[2, 2, 99])
    table.loc[table.index[-1], "target_class"] = 5
    row = summarise(table, BASELINE, {}, 0).set_index("cell").loc["jpeg"]
    assert (row.pairs, row.changed_target, row.changed_class) == (2, 1, 0)
    assert row.ratio == pytest.approx(2**0.5)
    assert row.ratio_all == pytest.approx((2 * 1 * 99 / 4) ** (1 / 3))


def test_images_that_the_defense_makes_another_class_of_are_counted() -> None:
    table = scores(plain=[1, 2, 4], jpeg=[2, 2])
    misclassified = {"plain": {"i7"}, "jpeg": {"i2", "i7", "i8"}}  # i7 is wrong without the defense, i8 was not scored
    found = summarise(table, BASELINE, misclassified, 0).set_index("cell").changed_class
    assert (found.plain, found.jpeg) == (0, 1)


def test_unbounded_scores_stay_unbounded() -> None:
    row = summarise(scores(plain=[1, 2] * 3, masked=[np.inf] * 6), BASELINE, {}, 0).set_index("cell").loc["masked"]
    assert [row["mean"], row.mean_low, row.mean_high, row.ratio] == [np.inf] * 4


def test_the_printed_tables_hold_every_row() -> None:
    summary = summarise(scores(plain=[1, 2, 3] * 2, bit_depth=[2, 4, 6] * 2), BASELINE, {}, 0)
    sections = TABLE.printed.sections(summary)
    for text in (printed.markdown(sections), printed.latex(sections)):
        assert "bit depth" in text
        assert "4 [2" in text
        assert "certif" not in text
    assert printed.latex(sections).count(r"\toprule") == 1


def cells(**rows: tuple[str, str, bool, str, str]) -> pd.DataFrame:
    columns = ["network", "transformation", "bpda", "order", "sampling"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("cell").reset_index()


def test_a_defense_is_compared_with_the_first_of_its_network_that_has_none() -> None:
    about = cells(
        a=("x", "Identity", True, "first_order", "{}"),
        b=("y", "Identity", True, "first_order", "{}"),
        c=("x", "JPEG", True, "first_order", "{}"),
        d=("y", "JPEG", False, "first_order", "{}"),
    )
    assert baselines(about) == {"a": "a", "b": "b", "c": "a", "d": "b"}
    assert list(baselines(about)) == list("abcd")


def test_a_defense_is_compared_with_the_score_of_the_same_order_and_sampling() -> None:
    about = cells(
        plain=("x", "Identity", True, "first_order", "{}"),
        path=("x", "Identity", True, "first_order", "path"),
        gauge=("x", "Identity", True, "gauge", "{}"),
        again=("x", "Identity", True, "gauge", "{}"),
        png=("x", "PNG", True, "first_order", "{}"),
        png_path=("x", "PNG", True, "first_order", "path"),
        png_gauge=("x", "PNG", True, "gauge", "{}"),
        png_masked=("x", "PNG", False, "first_order", "path"),
        png_gauge_path=("x", "PNG", True, "gauge", "path"),
    )
    found = baselines(about)
    assert {found[cell] for cell in ("plain", "path", "gauge", "again", "png")} == {"plain"}
    assert (found["png_path"], found["png_gauge"], found["png_masked"]) == ("path", "gauge", "path")
    assert "png_gauge_path" not in found  # no score without the defense is of its kind


def test_settings_alone_are_compared_with_the_first_cell() -> None:
    radii = {f"r{radius}": ("x", "Identity", True, "first_order", str(radius)) for radius in range(3)}
    assert set(baselines(cells(**radii)).values()) == {"r0"}


def run(cell: str, defense: str, **radius: float) -> dict[str, Any]:
    counts = dict.fromkeys(("scored", "left_out_misclassified", "left_out_not_finite"), 0)
    told = {"network": "net", "order": "first_order", "defense": {"class": defense}, "bpda": True}
    about = {"weights": {"model": {"name": "net"}}, "compute": {}, "order_settings": "FirstOrder()"}
    sampling = {"path": cell, "ascent": 0, "estimator": "mle", "n_batches": 8, "n_samples": 4, "radius": radius}
    return told | about | counts | {"accuracy": 1.0, "backward": "identity", "sampling": sampling}


def test_cells_that_differ_in_what_decides_their_numbers_are_all_kept() -> None:
    plain = run("no", "Identity", L2=1)
    told = {
        "plain": plain,
        "again": plain | {"bpda": False},  # nothing to go back through
        "smooth": plain | {"backward": "Smooth(PNG())"},
        "other": plain | {"order_settings": "FirstOrder(1)"},
        "attacked": plain,
    }
    strengths = {cell: {"steps": 100 if cell == "attacked" else 50} for cell in told}
    assert list(describe_cells(told, strengths, {}, [Norm.L2]).cell) == ["plain", "smooth", "other", "attacked"]


def test_the_radius_of_a_norm_without_scores_makes_no_other_kind() -> None:
    told = {
        "plain": run("no", "Identity", L2=1, Linf=0.1),
        "plain_path": run("yes", "Identity", L2=1, Linf=0.1),
        "png_path": run("yes", "PNG", L2=1.0, Linf=0.2),
        "png_far": run("yes", "PNG", L2=2.0, Linf=0.1),
    }
    strengths: dict[str, dict[str, Any]] = {cell: {} for cell in told}
    baseline = describe_cells(told, strengths, {}, [Norm.L2]).set_index("cell").baseline
    assert list(baseline[:3]) == ["plain", "plain", "plain_path"]
    assert pd.isna(baseline["png_far"])
    assert pd.isna(describe_cells(told, strengths, {}, [Norm.L2, Norm.LINF]).set_index("cell").baseline["png_path"])


def test_without_a_baseline_there_is_no_ratio() -> None:
    table = scores(plain=[1, 2, 3] * 2, jpeg=[2, 4, 6] * 2)
    row = summarise(table, {"plain": "plain"}, {"jpeg": {"i9"}}, 0).set_index("cell").loc["jpeg"]
    assert row["mean"] == 4
    assert np.isnan([row.ratio, row.ratio_low, row.ratio_all]).all()
    assert (row.pairs, row.changed_target, row.changed_class) == (0, 0, 0)


def orders(**scores_of: list[float]) -> pd.DataFrame:
    table = scores(**scores_of)
    table["order"] = np.where(table.cell.str.contains("second"), "second_order", "first_order")
    table["products"] = np.where(table.order == "second_order", 12.0, np.nan)
    return table.assign(unconverged=0.25)


def cells_of(table: pd.DataFrame, **change: object) -> pd.DataFrame:
    about = table.drop_duplicates("cell")[["cell", "network", "order"]]
    return about.assign(defense="identity", bpda=True).assign(**change)


def test_second_order_stands_beside_first_order_of_the_same_image_and_class() -> None:
    table = orders(plain=[1, 2, 4] * 2 + [9], jpeg=[9] * 7, plain_second=[2, 4, 2] * 2 + [9])
    table.loc[table.index[-1], "target_class"] = 5  # no pair
    both = pairs(table, cells_of(table), {cell: {"n_batches": 8} for cell in table.cell})
    assert list(both["first"]) == [1, 2, 4] * 2
    (row,) = compare(both, 0).itertuples()
    assert (row.images, row.first, row.second) == (6, pytest.approx(7 / 3), pytest.approx(8 / 3))
    assert row.gain == pytest.approx((2 * 2 * 0.5) ** (1 / 3))
    assert row.gain_low <= row.gain <= row.gain_high
    assert (row.share_larger, row.products, row.unconverged) == (pytest.approx(2 / 3), 12, 0.25)
    shown = printed.markdown(ORDERS.printed.sections(compare(both, 0)))
    assert ORDERS.printed.title in shown
    assert "67%" in shown


def test_without_a_partner_there_is_no_comparison() -> None:
    table = orders(plain=[1, 2], alone_second=[3, 4])
    both = pairs(table, cells_of(table, defense=["identity", "jpeg"]), {cell: {} for cell in table.cell})
    assert both.empty
    other = {"plain": {"law": "uniform"}, "alone_second": {"law": "reference_code"}}
    assert pairs(table, cells_of(table), other).empty
    assert compare(both, 0).empty
