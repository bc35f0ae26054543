"""The benchmarks run, write what they print, and say what the paper says."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT, TINY, Project


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


def test_the_defenses_are_all_measured_beside_identity(tmp_path: Path) -> None:
    table = run(tmp_path, "defenses", "--rounds", "1", "--points", "64").set_index("defense")
    assert set(table.index) == {"identity", "JPEG, libjpeg", "JPEG, torch", "bit depth", "quantize", "PNG"}
    assert (table["gradients/s"] > 0).all()
    assert table["ratio to identity"].identity == 1


def test_memory_does_not_grow_with_the_work(tmp_path: Path) -> None:
    table = run(tmp_path, "memory", "--n-batches", "20", "--images", "2", "--n-samples", "8")
    assert list(table.n_batches) == [20, 200, 20, 20]
    assert list(table.images) == [2, 2, 2, 20]
    assert (table["peak MiB"] < 1.1 * table["peak MiB"][0]).all()


def test_the_fits_are_those_of_the_authors_method(tmp_path: Path) -> None:
    (row,) = run(tmp_path, "fits", "--samples", "45", "--n-batches", "100", "--compared", "4").to_dict("records")
    assert row["difference of end points in ranges of the maxima, median"] < 1e-3
    assert row["ms a fit"] < row["authors' method, ms a fit"]


def test_a_tolerance_saves_batches(tmp_path: Path) -> None:
    options = ("--images", "2", "--n-batches", "120", "--n-samples", "8", "--tolerances", "0.9", "0.01")
    table = run(tmp_path, "adaptive", *options)
    assert list(table.tolerance) == [0.9, 0.01]
    assert table["mean N_b"][0] < table["mean N_b"][1] <= 120


def test_bfloat16_changes_more_than_the_layout(tmp_path: Path) -> None:
    options = ("--n-batches", "8", "--n-samples", "4", "--only", "channels_last", "bfloat16")
    table = run(tmp_path, "precision", *options).set_index("compute")
    changes = table["batch maxima change, median"]
    assert changes.channels_last < 1e-5 < changes.bfloat16


def test_scaling_fits_a_line(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    options = ("--images", "1", "3", "--n-batches", "5", "10", "--overrides", *TINY.split(), "attack.steps=2")
    table = run(tmp_path, "scaling", *options)
    assert list(table.stage) == ["score"] * 4 + ["attack"] * 2
    assert list(table.images) == [1, 3, 1, 1, 1, 3]
    assert list(table.N_b) == [5, 5, 5, 10, 5, 5]
    slope = table.seconds[1] - table.seconds[0]
    assert table["s a unit"][0] == pytest.approx(slope / 2, abs=0.06)
    assert table["fixed part, s"][0] == pytest.approx(table.seconds[0] - slope / 2, abs=0.12)


def test_what_digits_depend_on_is_measured(tmp_path: Path) -> None:
    table = run(tmp_path, "determinism", "--passes", "1", "8", "64", "--batches", "1", "--threads", "1")
    usual = table[table["points at once"] == 64]
    assert (usual.equal == usual.maxima).all()
    assert (table["largest change"] < 1e-4).all()


def test_shards_are_timed_beside_one_process(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    options = ("--work", "score, five defenses", "--processes", "1", "--overrides", *TINY.split(), "score.n_images=1")
    table = run(tmp_path, "shards", *options)
    assert table["times as fast"][0] == 1
    assert (table.seconds > 0).all()


def test_the_toolbox_does_the_same_job(tmp_path: Path) -> None:
    pytest.importorskip("art", reason="the Adversarial Robustness Toolbox is not installed (pip install it to compare)")
    table = run(tmp_path, "toolbox", "--n-batches", "10", "--n-samples", "4", "--toolbox-samples", "2")
    assert set(table.points) == {"own", "shared"}
    assert (table.ratio > 1).all()
