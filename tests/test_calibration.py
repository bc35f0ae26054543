"""Calibration at equal tightness: what a factor changes, and what it does not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pipeline.aggregate.calibration import BETTER, ONE_GRADIENT, TABLE, UNDECIDED, WORSE, calibrate, values
from pipeline.shared.text.methods import CLEVER

CELLS = pd.DataFrame({"cell": ["a", "b"], "network": "n", "defense": "{}", "bpda": True, "order": "first_order"})


def rows(factor: float = 1.0, count: int = 400) -> pd.DataFrame:
    """Two cells whose log ratios have the standard deviations .1 and .3, the second one ``factor`` times as large."""
    generator, found = np.random.default_rng(0), []
    for cell, spread, scale in (("a", 0.1, 0.8), ("b", 0.3, 0.8 * factor)):
        distance = generator.uniform(1, 2, count)
        score = scale * distance * np.exp(spread * generator.standard_normal(count))
        common = {"network": "n", "norm": "L2", "target": "top2", "cell": cell, "id": [str(i) for i in range(count)]}
        about = {"margin": 2 * distance, "gradient_norm": 2.0, "capped": False}
        about |= {"n_batches": 4, "n_samples": 5, "gradients": 20}
        found.append(pd.DataFrame(common | {"score": score, "distance": distance} | about))
    return pd.concat(found, ignore_index=True)


def test_a_factor_changes_the_ratio_alone() -> None:
    one, other = (
        calibrate(values(rows(factor), CELLS), CELLS, 0).set_index(["cell", "method"]) for factor in (1.0, 5.0)
    )
    assert other.loc[("b", "CLEVER"), "ratio"] == pytest.approx(5 * one.loc[("b", "CLEVER"), "ratio"])
    assert other.loc[("b", "CLEVER"), "share_above"] > one.loc[("b", "CLEVER"), "share_above"] + 0.3
    same = ["spread", "spread_low", "spread_high", "worst", "tightness", "gain", "gain_low", "gain_high"]
    same += ["rank_correlation"]
    for column in same:  # the rank is that of the same values
        assert other.loc[("b", "CLEVER"), column] == pytest.approx(one.loc[("b", "CLEVER"), column], abs=1e-9)


def test_the_numbers_are_those_of_the_law() -> None:
    found = calibrate(values(rows(), CELLS), CELLS, 0).set_index(["cell", "method"])
    for cell, spread in (("a", 0.1), ("b", 0.3)):
        row = found.loc[(cell, "CLEVER")]
        assert row.spread_low < spread < row.spread_high
        assert row.tightness == pytest.approx(np.exp(-1.645 * spread), rel=0.1)
        assert row.gradients == 20
        assert row.ratio_5 == pytest.approx(0.8 * np.exp(-1.645 * spread), rel=0.05)
        assert row.ratio_95 == pytest.approx(0.8 * np.exp(1.645 * spread), rel=0.05)
        assert row.count_above == row.share_above * 400
        assert row.share_above_low < norm.sf(-np.log(0.8) / spread) < row.share_above_high
        assert np.log(row.spread_high / row.spread_low) == pytest.approx(2 * 1.96 / np.sqrt(2 * 399), rel=0.15)
    baseline = found.loc[("a", ONE_GRADIENT)]
    assert ("b", ONE_GRADIENT) not in found.index  # the same network and defense
    assert baseline[["ratio", "gradients"]].tolist() == pytest.approx([1, 1])
    assert baseline.rank_correlation == pytest.approx(1)


def scored(spreads: dict[str, float], count: int, seed: int) -> pd.DataFrame:
    """One row per image and cell, log ratios of the given spreads that are alike from cell to cell."""
    generator, found = np.random.default_rng(seed), []
    common = generator.standard_normal(count)
    for cell, spread in spreads.items():
        logs = spread * (0.8 * common + 0.6 * generator.standard_normal(count))
        about = {"network": "n", "norm": "L2", "target": "top2", "cell": cell, "method": CLEVER, "gradients": 1.0}
        rows = {"id": [str(image) for image in range(count)], "value": np.exp(logs), "distance": 1.0, "capped": False}
        found.append(pd.DataFrame(about | rows))
    return pd.concat(found, ignore_index=True)


def gain(spreads: dict[str, float], count: int, seed: int) -> pd.Series:
    return calibrate(scored(spreads, count, seed), CELLS, seed).set_index("cell").loc["b"]


def test_the_tightness_over_the_first_orders_is_that_of_the_law_and_decides() -> None:
    for spread, verdict in ((0.2, BETTER), (0.6, WORSE)):
        row = gain({"a": 0.4, "b": spread}, 400, 0)
        assert row.gain_low < np.exp(1.645 * (0.4 - spread)) < row.gain_high
        assert row.gain_low < row.gain < row.gain_high
        assert (row.verdict, row.pairs) == (verdict, 400)
        assert gain({"a": 0.4, "b": spread}, 5, 0).verdict == UNDECIDED  # too few images for an interval


@pytest.mark.parametrize("count", [24, 99])
def test_equal_scores_are_undecided_and_the_interval_covers_as_often_as_it_says(count: int) -> None:
    same = [gain({"a": 0.3, "b": 0.3}, count, seed) for seed in range(100)]
    assert [row.verdict for row in same].count(UNDECIDED) >= 92
    truth = np.exp(1.645 * -0.2)
    other = [gain({"a": 0.2, "b": 0.4}, count, seed) for seed in range(100)]
    assert 0.88 <= np.mean([row.gain_low < truth < row.gain_high for row in other]) <= 0.99
    assert BETTER not in [row.verdict for row in other]


def test_images_are_drawn_in_pairs() -> None:
    """A small difference that each image shows decides among few of them."""
    one = scored({"a": 0.3}, 24, 0)
    row = calibrate(pd.concat([one, one.assign(cell="b", value=one.value**1.1)]), CELLS, 0).set_index("cell").loc["b"]
    assert row.verdict == WORSE
    assert row.gain_low < row.gain < row.gain_high < 1


def test_the_reference_is_first_order_behind_the_same_defense_on_the_images_that_both_have() -> None:
    cells = pd.DataFrame(
        [
            ("second", "{}", "second_order"),
            ("first", "{}", "first_order"),
            ("later", "{}", "first_order"),
            ("png", "PNG", "first_order"),
            ("png_gauge", "PNG", "gauge"),
            ("jpeg_gauge", "JPEG", "gauge"),
        ],
        columns=["cell", "defense", "order"],
    ).assign(network="n", bpda=True)
    table = scored({"second": 0.1, "first": 0.3, "later": 0.3, "png": 0.2, "png_gauge": 0.4, "jpeg_gauge": 0.4}, 400, 0)
    table = table[(table.cell != "second") | (table.id.astype(int) < 300)]
    table = table[(table.cell != "first") | (table.id.astype(int) >= 10)]
    found = calibrate(table, cells, 0).set_index("cell")
    assert found.verdict.to_dict() == {
        "second": BETTER,
        "first": "",
        "later": UNDECIDED,
        "png": "",
        "png_gauge": WORSE,
        "jpeg_gauge": "",
    }
    assert found.pairs["second"] == 290
    assert np.isnan(found.gain["jpeg_gauge"])
    shown = TABLE.printed.text(found.reset_index())["ratio to first order"]
    assert shown[0].endswith("], better")
    assert list(shown[[1, 3, 5]]) == ["", "", ""]
