"""The benchmarks run, write what they print, and say what the paper says."""

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from cifar10_sample import CIFAR10, needs_cifar10
from conftest import ROOT, TINY, Project
from test_data_sources import idx


def run(tmp_path: Path, name: str, *options: str) -> pd.DataFrame:
    """What ``python benchmarks/NAME.py OPTIONS --out FILE`` does, in this process: importing torch takes seconds."""
    out, shown, threads = tmp_path / f"{name}.csv", io.StringIO(), torch.get_num_threads()
    script = ROOT / "benchmarks" / f"{name}.py"
    argv, path = sys.argv, sys.path
    sys.argv, sys.path = [str(script), *options, "--out", str(out)], [str(script.parent), *sys.path]
    try:
        with torch.random.fork_rng(), contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path = argv, path
        torch.set_num_threads(threads)
    assert "torch" in shown.getvalue()
    table = pd.read_csv(out)
    assert table.machine.nunique() == 1
    return table


def test_no_bound_with_the_true_constants_exceeds_the_true_distance(tmp_path: Path) -> None:
    table = run(tmp_path, "grid_truth", "--images", "2", "--n-batches", "8", "--n-samples", "16")
    assert len(table) == 2 * 3 * 3 * 2
    assert set(table["theorem exceeds"]) == {"0%"}
    assert table["theorem / truth, median"].between(0.05, 1).all()
    # Where the ball has few dimensions, curvature says more than the largest gradient does.
    tight = table.groupby("order")["theorem / truth, median"].mean()
    assert tight.second_order > tight.first_order


def test_lanczos_needs_fewer_products_for_no_larger_an_error(tmp_path: Path) -> None:
    table = run(tmp_path, "curvature", "--batches", "1", "--epochs", "6").set_index(["network", "activation"])
    power, lanczos = (table[table.method == name] for name in ("power", "lanczos"))
    assert len(power) == len(lanczos) == 6
    assert power["products, mean"].mean() >= 8 * lanczos["products, mean"].mean()
    for statistic in ("error, median", "error, 90 %", "error, worst"):
        assert (lanczos[statistic] <= power[statistic].clip(lower=1e-6)).all()  # below that, both are rounding


def test_ascent_goes_beyond_samples(tmp_path: Path) -> None:
    options = ("--images", "1", "--radii", "2", "--steps", "5", "--batches", "5", "--samples", "4")
    (row,) = run(tmp_path, "ascent", *options).to_dict("records")
    assert row["smallest"] > 1.05
    assert row["gradients, with ascent"] == 21 + 5 * (5 * 2 + 2)


@pytest.mark.parametrize("targets", ["1", "3"])
def test_the_sampling_benchmark_measures_both_loops(tmp_path: Path, targets: str) -> None:
    (row,) = run(tmp_path, "sampling", "--rounds", "1", "--points", "512", "--targets", targets).to_dict("records")
    assert row["gradients/s"] > 0
    assert row["ratio"] == pytest.approx(row["gradients/s"] / row["bare loop gradients/s"], rel=0.01)


def test_the_defenses_are_all_measured_beside_identity(tmp_path: Path) -> None:
    table = run(tmp_path, "defenses", "--rounds", "1", "--points", "64").set_index("defense")
    assert set(table.index) == {"identity", "JPEG, libjpeg", "JPEG, torch", "bit depth", "quantize", "PNG"}
    assert (table["gradients/s"] > 0).all()
    assert table["ratio to identity"].identity == 1


def test_memory_does_not_grow_with_the_work(tmp_path: Path) -> None:
    table = run(tmp_path, "memory", "--n-batches", "10", "--images", "2", "--n-samples", "8")
    assert list(table.n_batches) == [10, 100, 10, 10]
    assert list(table.images) == [2, 2, 2, 20]
    assert (table["peak MiB"] < 1.1 * table["peak MiB"][0]).all()


def test_the_fits_are_those_of_the_authors_method(tmp_path: Path) -> None:
    (row,) = run(tmp_path, "fits", "--samples", "45", "--n-batches", "100", "--compared", "4").to_dict("records")
    assert row["difference of end points in ranges of the maxima, median"] < 1e-3
    assert row["ms a fit"] < row["authors' method, ms a fit"]


def test_coverage_is_measured_for_every_law(tmp_path: Path) -> None:
    options = ("--samples", "20", "--sizes", "16", "--bootstrapped", "2", "--replicates", "10")
    table = run(tmp_path, "coverage", *options).set_index(["likelihood", "law", "N_s"])
    assert len(table) == 2 * 10
    law = table.loc["profile", "reverse Weibull, shape 5", 1024]
    assert law["holds it"] >= 0.75
    assert law["holds it"] + law["lies beyond"] + law["ends before"] == pytest.approx(1)
    assert law["bootstrap length"] > 0
    assert table.loc["profile", "Gumbel", 1024]["unbounded"] == table.loc["profile", "Gumbel", 1024]["holds it"]


def test_the_smallest_of_many_equal_scores_is_biased_low(tmp_path: Path) -> None:
    options = ("--samples", "3", "--classes", "5", "20", "--batches", "16")
    table = run(tmp_path, "untargeted", *options).set_index(["classes", "spread"])
    assert list(table.samples) == [12] * 3 + [3] * 3
    over_the_truth = table["score over the truth"]
    assert over_the_truth[20, 0.0] < 0.9 < over_the_truth[20, 0.5]
    assert over_the_truth[20, 0.0] < over_the_truth[5, 0.0]


def gradient_pool(out: Path, points: int, begin: int, *options: str) -> np.ndarray:
    command = [sys.executable, str(ROOT / "benchmarks" / "gradient_pool.py"), "--points", str(points), *options]
    command += ["--begin", str(begin), "--out", str(out)]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "CIFAR10_SAMPLE": str(CIFAR10)})
    return np.load(out)


def test_a_pool_of_gradient_norms_is_made_and_goes_on_from_what_is_there(tmp_path: Path) -> None:
    """In passes of 256 points."""

    def pool(name: str, points: int, begin: int = 0) -> np.ndarray:
        return gradient_pool(tmp_path / name, points, begin)

    norms = pool("pool.npy", 600)
    assert norms.shape == (3 * 256,)
    assert norms.dtype == np.float32
    assert (norms > 0).all()
    assert np.array_equal(pool("rest.npy", 256, begin=512), norms[512:])
    first = pool("parts.npy", 300)
    assert np.array_equal(first, norms[:512])
    marked = -np.arange(256, dtype=np.float32)  # a whole pass, which is kept, and 44 points of the next, which are not
    np.save(tmp_path / "parts.npy", np.concatenate([marked, first[256:300]]))
    assert np.array_equal(pool("parts.npy", 600), np.concatenate([marked, norms[256:]]))


@needs_cifar10
def test_the_pool_that_is_there_holds_the_norms_that_the_script_makes(tmp_path: Path) -> None:
    """Of the passes made on a CPU the last one; the norm of a point at a kink depends on rounding."""
    begin = 999_936
    made = gradient_pool(tmp_path / "pool.npy", 64, begin, "--network", "densenet_bc", "--at-once", "64")
    there = np.load(ROOT / "benchmarks" / "pools" / "densenet_bc.npy")[begin : begin + 64]
    assert np.median(np.abs(there / made - 1)) < 1e-5
    assert np.allclose(there, made, rtol=0.01)
    assert not np.allclose(there, np.roll(made, 1), rtol=0.01)  # other points have other norms


def test_bfloat16_changes_more_than_the_layout(tmp_path: Path) -> None:
    options = ("--n-batches", "8", "--n-samples", "4", "--only", "channels_last", "bfloat16")
    table = run(tmp_path, "precision", *options).set_index("compute")
    changes = table["batch maxima change, median"]
    assert changes.channels_last < 1e-5 < changes.bfloat16


OVERRIDES = ("--overrides", *TINY.split(), "models_dir=models/ad_hoc")
"""For the project in small, whose network was made without an experiment."""


def test_scaling_fits_a_line(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    options = ("--images", "1", "3", "--n-batches", "5", "10", "--only", "attack images")
    table = run(tmp_path, "scaling", *options, *OVERRIDES, "attack.steps=2")
    assert list(table.stage) == ["attack"] * 2
    assert list(table.images) == [1, 3]
    assert list(table.N_b) == [5] * 2
    slope = table.seconds[1] - table.seconds[0]
    assert table["s a unit"][0] == pytest.approx(slope / 2, abs=0.06)
    assert table["fixed part, s"][0] == pytest.approx(table.seconds[0] - slope / 2, abs=0.12)


def test_what_digits_depend_on_is_measured(tmp_path: Path) -> None:
    table = run(tmp_path, "determinism", "--passes", "1", "64", "--batches", "1", "--threads", "1")
    usual = table[table["points at once"] == 64]
    assert (usual.equal == usual.maxima).all()
    assert (table["largest change"] < 1e-4).all()


def test_an_experiment_is_timed_beside_a_busy_process(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.experiment("two", "processes", defense="identity,quantize")
    monkeypatch.chdir(project.folder)
    options = ("--experiment", "two", "--stages", "score", "--ways", "1x1", "--busy", "1")
    table = run(tmp_path, "shards", *options, *OVERRIDES)
    assert list(table["busy beside"]) == [1]
    assert table["times the first"][0] == 1
    assert (table.seconds > 0).all()
    assert not (project.folder / "results").exists()  # what the experiment has computed stays as it is


def test_what_twice_the_strength_changes_is_told_image_by_image(tmp_path: Path) -> None:
    for name, steps, distances in (("once", 5, [1.0, 2.0, 4.0, 8.0, np.inf]), ("twice", 10, [1.0, 1.0, 4.4, 6.0, 9.0])):
        for cell in ("png", "same"):
            folder = tmp_path / name / "attack" / cell
            folder.mkdir(parents=True)
            told = {"steps": steps if cell == "png" else 5, "starts": 1, "rounds": 0}
            (folder / "run.json").write_text(json.dumps({"strength": told, "of_all_runs": {"seconds": 10.0}}))
            rows = [{"norm": "L2", "target": "top2", "id": f"i{i}", "distance": d} for i, d in enumerate(distances)]
            pd.DataFrame(rows).assign(predicted=0, target_class=1).to_csv(folder / "distances.csv", index=False)
    (row,) = run(tmp_path, "doubled", "--once", str(tmp_path / "once"), "--twice", str(tmp_path / "twice")).to_dict(
        "records"
    )
    assert (row["cell"], row["steps"], row["images"], row["found"]) == ("png", 5, 5, "4, 5")
    assert (row["distance, median"], row["twice"], row["change of the median"]) == (3.0, 2.7, "-10.0%")
    assert (row["change, median"], row["least"], row["s an image"]) == ("-12.5%", "-50.0%", 2.0)


def test_the_toolbox_does_the_same_job(tmp_path: Path) -> None:
    pytest.importorskip("art", reason="the Adversarial Robustness Toolbox is not installed (pip install it to compare)")
    table = run(tmp_path, "toolbox", "--n-batches", "10", "--n-samples", "4", "--toolbox-samples", "2")
    assert set(table.points) == {"own", "shared"}
    assert (table.ratio > 1).all()


def test_on_relu_networks_the_exact_distance_lies_between_bound_and_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "art", None)
    options = ("--seeds", "0", "--images", "2", "--epochs", "3", "--radii", "0.1", "--budgets", "5,16")
    table = run(tmp_path, "milp", *options).set_index("method")
    assert not any("clever_t" in method for method in table.index)
    assert table["value / exact, median"]["interval bound"] < 1
    assert table["value / exact, median"]["attack"] >= 1 - 1e-4
    assert table["largest / bound"].dropna().between(0.05, 1).all()
    assert (table["not solved"] == 0).all()


def test_attacks_of_our_own_come_as_near_as_those_of_foolbox(tmp_path: Path) -> None:
    pytest.importorskip("foolbox", reason="no foolbox: pip install it to compare", exc_type=ImportError)
    table = run(tmp_path, "attacks_against_foolbox", "--images", "3", "--steps", "20", "--weights", "2")
    assert len(table) == 3 * 4 + 3
    alone = table[table["found by foolbox"] > 0]
    assert (alone.found >= alone["found by foolbox"]).all()
    assert alone["ratio, median"].between(0.9, 1.01).all()


def test_peers_are_compared_by_the_same_distances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("foolbox", reason="no foolbox: pip install it to compare", exc_type=ImportError)
    monkeypatch.setitem(sys.modules, "art", None)
    options = ("--images", "2", "--norms", "L2", "--n-batches", "6", "--n-samples", "4", "--steps", "40")
    table = run(tmp_path, "peers", *options).set_index("method")
    assert list(table.index) == [
        "clever.score, default settings",
        "clever.score, clever.paper",
        "clever.score, default settings, as many gradients",
        "clever.score, clever.paper, as many gradients",
        "one gradient",
        "attack of this project",
        "attack of foolbox",
    ]
    assert table.gradients["clever.score, clever.paper"] == 6 * 4
    assert table.gradients["clever.score, clever.paper, as many gradients"] == 20 * 4
    assert (table["value / distance, median"][-2:] >= 1).all()


def test_scores_stand_beside_exact_distances_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "art", None)
    digits = load_digits()
    images = np.kron(np.pad(digits.images / 16 * 255, ((0, 0), (3, 3), (3, 3))), np.ones((2, 2))).astype(np.uint8)
    for part, of in (("train", slice(0, 600)), ("t10k", slice(600, 650))):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images[of]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(digits.target[of].astype(np.uint8)))
    options = ("--images", "3", "--epochs", "8", "--hidden", "8", "--penalties", "0.1", "--n-batches", "5")
    table = run(tmp_path, "exact_mnist", "--data", str(tmp_path), *options, "--n-samples", "32")
    assert len(table) == 2 * 7 + 4
    ratio = table.set_index("method")["value / exact, median"]
    assert ratio["closed certificate"] <= 1 <= ratio["attack"] + 1e-3
    assert (table["not exact"] < 3).all()
