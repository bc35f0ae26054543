"""The benchmarks run, write what they print, and say what the paper says."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT


def run(tmp_path: Path, name: str, *options: str) -> pd.DataFrame:
    out = tmp_path / f"{name}.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options, "--out", str(out)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert "torch" in shown.stdout
    table = pd.read_csv(out)
    assert table.machine.nunique() == 1
    return table


def test_no_bound_with_the_true_constants_exceeds_the_true_distance(tmp_path: Path) -> None:
    table = run(tmp_path, "grid_truth", "--images", "4", "--n-batches", "8", "--n-samples", "16")
    assert len(table) == 2 * 3 * 3 * 2
    assert set(table["theorem exceeds"]) == {"0%"}
    assert table["theorem / truth, median"].between(0.05, 1).all()
    # Where the ball has few dimensions, curvature says more than the largest gradient does.
    tight = table.groupby("order")["theorem / truth, median"].mean()
    assert tight.second_order > tight.first_order


def test_lanczos_needs_fewer_products_for_no_larger_an_error(tmp_path: Path) -> None:
    table = run(tmp_path, "curvature", "--batches", "3", "--epochs", "10").set_index(["network", "activation"])
    power, lanczos = (table[table.method == name] for name in ("power", "lanczos"))
    assert len(power) == len(lanczos) == 6
    assert power["products, mean"].mean() >= 8 * lanczos["products, mean"].mean()
    for statistic in ("error, median", "error, 90 %", "error, worst"):
        assert (lanczos[statistic] <= power[statistic].clip(lower=1e-6)).all()  # below that, both are rounding


@pytest.mark.parametrize("targets", ["1", "3"])
def test_the_sampling_benchmark_measures_both_loops(tmp_path: Path, targets: str) -> None:
    (row,) = run(tmp_path, "sampling", "--rounds", "1", "--targets", targets).to_dict("records")
    assert row["gradients/s"] > 0
    assert row["ratio"] == pytest.approx(row["gradients/s"] / row["bare loop gradients/s"], rel=0.01)
