"""Calibration at equal tightness: what a factor changes, and what it does not."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pipeline.aggregate.calibration import ONE_GRADIENT, calibrate, values

CELLS = pd.DataFrame({"cell": ["a", "b"], "network": "n", "defense": "{}", "bpda": True, "order": "first_order"})


def rows(factor: float = 1.0, count: int = 400) -> pd.DataFrame:
    """Two cells whose log ratios have the standard deviations .1 and .3, the second one ``factor`` times as large."""
    generator, found = np.random.default_rng(0), []
    for cell, spread, scale in (("a", 0.1, 0.8), ("b", 0.3, 0.8 * factor)):
        distance = generator.uniform(1, 2, count)
        score = scale * distance * np.exp(spread * generator.standard_normal(count))
        common = {"network": "n", "norm": "L2", "target": "top2", "cell": cell, "id": [str(i) for i in range(count)]}
        about = {"margin": 2 * distance, "gradient_norm": 2.0, "capped": False, "n_batches": 4, "n_samples": 5}
        found.append(pd.DataFrame(common | {"score": score, "distance": distance} | about))
    return pd.concat(found, ignore_index=True)


def test_a_factor_changes_the_ratio_alone() -> None:
    one, other = (calibrate(values(rows(factor), CELLS), 0).set_index(["cell", "method"]) for factor in (1.0, 5.0))
    assert other.loc[("b", "CLEVER"), "ratio"] == pytest.approx(5 * one.loc[("b", "CLEVER"), "ratio"])
    assert other.loc[("b", "CLEVER"), "above"] > one.loc[("b", "CLEVER"), "above"] + 0.3
    same = ["spread", "spread_low", "spread_high", "worst", "tightness", "rank_correlation"]
    for column in same:  # the rank is that of the same values
        assert other.loc[("b", "CLEVER"), column] == pytest.approx(one.loc[("b", "CLEVER"), column], abs=1e-9)


def test_the_numbers_are_those_of_the_law() -> None:
    found = calibrate(values(rows(), CELLS), 0).set_index(["cell", "method"])
    for cell, spread in (("a", 0.1), ("b", 0.3)):
        row = found.loc[(cell, "CLEVER")]
        assert row.spread_low < spread < row.spread_high
        assert row.tightness == pytest.approx(np.exp(-1.645 * spread), rel=0.1)
        assert row.gradients == 20
        assert row.ratio_5 == pytest.approx(0.8 * np.exp(-1.645 * spread), rel=0.05)
        assert row.ratio_95 == pytest.approx(0.8 * np.exp(1.645 * spread), rel=0.05)
        assert row.exceeding == row.above * 400
        assert row.above_low < norm.sf(-np.log(0.8) / spread) < row.above_high
    baseline = found.loc[("a", ONE_GRADIENT)]
    assert ("b", ONE_GRADIENT) not in found.index  # the same network and defense
    assert baseline[["ratio", "gradients"]].tolist() == pytest.approx([1, 1])
    assert baseline.rank_correlation == pytest.approx(1)
