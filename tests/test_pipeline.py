"""The pipeline as its users run it: real DVC, real Hydra sweeps, real kills."""

import hashlib
import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision

from conftest import TINY, Project, stored_points
from pipeline.model.training import train
from pipeline.shared.classifier import fill, sha256_of

SCORE = (sys.executable, "-m", "pipeline.score", *TINY.split())


def npz(project: Project) -> dict[Path, int]:
    maxima = project.folder / "store" / "maxima"
    return {path: path.stat().st_mtime_ns for path in maxima.rglob("*.npz")}


def cells(project: Project, text: str) -> None:
    """Replaces the cells of params.yaml."""
    path = project.folder / "params.yaml"
    head = path.read_text().split("cells:")[0]
    path.write_text(f"{head}cells:\n{text}")


TWO = "  identity: defense=identity\n  quantize_no_bpda: defense=quantize bpda=false\n"
SMOOTH = "".join(f"  {order}: model=mlp_tanh norms=[L2] order={order}\n" for order in ("first_order", "second_order"))


def test_dvc_runs_all_and_a_changed_list_of_cells_changes_all(project: Project) -> None:
    shutil.rmtree(project.folder / "models")
    cells(project, TWO + SMOOTH)
    project.run("dvc", "init", "--no-scm", "--quiet")
    project.run("dvc", "repro")
    assert "up to date" in project.run("dvc", "repro").stdout

    results = project.folder / "results"
    table = pd.read_csv(results / "aggregate" / "table.csv")
    assert list(table.cell.unique()) == ["identity", "quantize_no_bpda", "first_order", "second_order"]
    assert list(pd.read_csv(results / "aggregate" / "orders.csv").cell.unique()) == ["second_order"]
    masked = table[table.cell == "quantize_no_bpda"]
    assert (masked.share_capped == 1).all()
    assert (masked.ratio > 1).all()
    names = {"scores", "bpda", "fits", "convergence", "images", "orders", "sandwich", "against", "adversaries"}
    for kind, head in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        drawn = {path.stem: path.read_bytes() for path in (results / "figures").glob(f"*.{kind}")}
        assert drawn.keys() == names
        assert all(content.startswith(head) for content in drawn.values())
    known = pd.read_csv(results / "aggregate" / "cells.csv", index_col="cell")
    assert list(known.baseline) == ["identity", "identity", "first_order", "first_order"]
    assert known.accuracy.between(0.2, 1).all()
    assert "mean_ratio" in project.run("dvc", "metrics", "show").stdout
    project.run("dvc", "plots", "show", "--out", "plots")
    assert (project.folder / "plots" / "index.html").is_file()

    before = npz(project)
    cells(
        project,
        TWO.replace("quantize_no_bpda: defense=quantize bpda=false", "coarse: defense=bit_depth defense.bits=2"),
    )
    project.run("dvc", "repro")
    table = pd.read_csv(results / "aggregate" / "table.csv")
    assert list(table.cell.unique()) == ["identity", "coarse"]
    assert before.items() <= npz(project).items()
    for name in ("table.md", "table.tex", "scores.csv", "cells.csv", "metrics.json"):
        assert "no_bpda" not in (results / "aggregate" / name).read_text()


def test_a_sweep_outside_dvc_gives_the_same_numbers(project: Project) -> None:
    for cell in ("identity", "jpeg"):
        project.stage("score", f"defense={cell}", f"cell={cell}", f"results_dir=results/score/{cell}")
    shutil.rmtree(project.folder / "store")
    project.stage("score", "-m", "defense=identity,jpeg")
    for cell in ("identity", "jpeg"):
        (swept,) = (project.folder / "multirun").rglob(f"*-{cell}/scores.csv")
        assert swept.read_bytes() == (project.folder / "results/score" / cell / "scores.csv").read_bytes()


def test_a_killed_run_goes_on_where_it_was(project: Project) -> None:
    project.stage("score", "results_dir=undisturbed")
    shutil.rmtree(project.folder / "store" / "maxima")
    killed = 0
    for after in (2, 4, 6):
        process = project.start(*SCORE, "results_dir=killed")
        while len(npz(project)) < after and process.poll() is None:
            time.sleep(0.002)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert killed >= 2
    finished = stored_points(project.folder / "store", 8)
    project.stage("score", "results_dir=killed")
    run = json.loads((project.folder / "killed" / "run.json").read_text())
    assert run["points_from_store"] == finished > 0  # nothing was computed twice
    assert run["points_computed"] > 0
    assert not [path for path in (project.folder / "killed").iterdir() if path.name.startswith(".")]
    for name in ("scores.csv", "maxima.npy"):
        assert (project.folder / "killed" / name).read_bytes() == (project.folder / "undisturbed" / name).read_bytes()


@pytest.mark.parametrize(
    ("sent", "code", "message"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_run_says_so(project: Project, sent: signal.Signals, code: int, message: str) -> None:
    process = project.start(*SCORE, "sampling.n_batches=5000")
    while not npz(project) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"{message}; what was finished is kept" in err
    assert "Traceback" not in err


def test_a_changed_fit_samples_nothing_and_more_batches_sample_the_difference(project: Project) -> None:
    def cost(*overrides: str) -> tuple[int, int]:
        project.stage("score", "results_dir=run", *overrides)
        run = json.loads((project.folder / "run" / "run.json").read_text())
        return run["points_computed"], run["points_from_store"]

    first = cost()[0]
    assert first > 0
    assert cost("sampling.estimator=maximum", "sampling.cap=false") == (0, first)
    assert cost("sampling.n_batches=9") == (first // 2, first)


def test_what_a_run_writes(project: Project) -> None:
    shown = project.stage("score", "results_dir=run", "defense=jpeg", "defense.quality=30")
    table = pd.read_csv(project.folder / "run" / "scores.csv")
    run = json.loads((project.folder / "run" / "run.json").read_text())
    assert run["defense"]["quality"] == 30
    assert run["scored"] + run["left_out_misclassified"] == 2
    assert len(table) == run["scored"] * 2 * 3
    assert np.load(project.folder / "run" / "maxima.npy").shape == (len(table), 6)
    assert np.allclose(np.load(project.folder / "run" / "maxima.npy").max(1), table.end_point_sample_maximum)
    assert set(table.cell) == {"jpeg"}
    assert (table.predicted == table.label).all()
    assert re.search(r"100%.*\d+/\d+", shown.stderr.replace("\r", "\n"))


def test_misclassified_images_are_left_out_and_counted(project: Project) -> None:
    manifest = project.folder / "data" / "prepared" / "manifest.csv"
    table = pd.read_csv(manifest)
    table.loc[0, "label"] = (table.label[0] + 1) % 10
    table.to_csv(manifest, index=False)
    project.stage("score", "results_dir=run")
    run = json.loads((project.folder / "run" / "run.json").read_text())
    assert (run["scored"], run["left_out_misclassified"]) == (1, 1)


BAD = {
    "defense=jpg": r"Could not find 'defense/jpg'(.|\n)*bit_depth(.|\n)*jpeg(.|\n)*quantize",
    "defence=jpeg": "unknown setting|Could not override 'defence'",
    "sampling.n_batche=3": "unknown setting sampling.n_batche: sampling has cap, clip, curvature, estimator, law, n_",
    "defense=jpeg defense.quality=0": "quality of JPEG is 0: it must be a whole number from 1 to 100",
    "sampling.radius.L2=0": "radius of the L2 ball is 0",
    "sampling.radius.L1=-2": "radius of the L1 ball is -2",
    "sampling.n_batches=2": "n_batches is 2: the estimator mle_reg needs a number from 5 up",
    "sampling.n_samples=1": "n_samples is 1",
    "sampling.estimator=best": "it must be one of mle_reg, mle, maximum",
    "sampling.law=normal": "it must be one of uniform, reference_code",
    "targets=[top3]": "unknown target 'top3': it must be one of top2, random, least, untargeted",
    "targets=[10]": "the network has classes 0 to 9",
    "norms=[L7]": "unknown norm 'L7': it must be one of L1, L2, Linf",
    "score.n_images=1000": "score.n_images is 1000: 60 images are prepared",
    "chunk_points=0": "chunk_points is 0",
    "norms=[]": "it must be a list of names",
    "targets=[1.5]": "it must be a list of names",
    "seed=-1": "seed is -1: it must be a whole number from 0 to",
    "bpda=off": "bpda is 'off': it must be true or false",
    "sampling.radius.L2=abc": "radius of the L2 ball is 'abc'",
    "+sampling.foo=1": "unexpected keyword argument 'foo'",
    "device=cuda:77": "device=cuda:77 is not to be had here",
}


@pytest.mark.parametrize("overrides", BAD)
def test_bad_input_is_refused_before_any_sampling(project: Project, overrides: str) -> None:
    shown = project.stage("score", *overrides.split(), code=2)
    assert re.search(BAD[overrides], shown.stderr), shown.stderr
    assert "Traceback" not in shown.stderr
    assert not npz(project)


def test_a_target_equal_to_the_predicted_class_is_refused(project: Project) -> None:
    label = pd.read_csv(project.folder / "data" / "prepared" / "manifest.csv").label[0]
    shown = project.stage("score", f"targets=[{label}]", code=2)
    assert f"target class {label} is the predicted class" in shown.stderr
    assert not npz(project)


def test_a_network_that_gives_nan_is_refused(project: Project) -> None:
    path = project.folder / "models" / "small_densenet" / "weights.pt"
    state = torch.load(path, weights_only=True)
    state["classifier.bias"] += float("nan")
    torch.save(state, path)
    about = path.parent / "about.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"sha256": sha256_of(path)}))
    shown = project.stage("score", code=2)
    assert "NaN or infinite logits" in shown.stderr
    assert not npz(project)


def test_weights_are_checked(project: Project) -> None:
    def model(path: Path | str, sha256: str, *overrides: str, code: int = 2) -> str:
        file = ("weights=file", f"weights.path={path}", f"weights.sha256={sha256}")
        return project.stage("model", *file, *overrides, code=code, tiny=TINY.replace("weights.epochs=3", "")).stderr

    copy = shutil.copy(project.folder / "models" / "small_densenet" / "weights.pt", project.folder / "copy.pt")
    found = re.search(r"the sha256 of .* is ([0-9a-f]{64})", model(copy, "f" * 64))
    assert found
    model(copy, found[1], code=0)
    assert "are not those of DenseNet" in model(copy, found[1], "model.network.block_config=[3,3]")
    assert "gone.pt: there is no such file" in model("gone.pt", "f")
    evil = project.folder / "evil.pt"
    torch.save({"weight": Project}, evil)
    digest = hashlib.sha256(evil.read_bytes()).hexdigest()
    assert "no state_dict that can be loaded safely" in model(evil, digest)


def test_torchvisions_densenet_files_have_older_names_and_load_all_the_same() -> None:
    network = torchvision.models.densenet121(weights=None)
    old = {
        re.sub(r"(denselayer\d+\.(norm|conv))([12]\.)", r"\1.\3", name): v for name, v in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    other = torchvision.models.densenet121(weights=None)
    fill(other, old, "a file")
    assert all(torch.equal(v, network.state_dict()[name]) for name, v in other.state_dict().items())


@pytest.mark.parametrize("line", ["  jpeg:\n", "  8: defense=jpeg\n"])
def test_a_cell_that_is_none_is_refused(project: Project, line: str) -> None:
    cells(project, f"  identity: defense=identity\n{line}")
    assert "both must be text" in project.stage("cells", code=2).stderr


def test_the_store_may_lie_anywhere(project: Project) -> None:
    project.stage("score", f"store_dir={project.folder}/elsewhere", "norms=L2", "targets=top2")
    assert not npz(project)
    assert list((project.folder / "elsewhere").rglob("*.npz"))


def test_unbounded_scores_stand_in_table_and_figures(project: Project) -> None:
    cells(project, TWO)
    project.stage("model")
    uncapped = "sampling.cap=false"
    for name, overrides in (
        ("identity", ["defense=identity"]),
        ("quantize_no_bpda", ["defense=quantize", "bpda=false"]),
    ):
        for stage in ("score", "attack"):
            project.stage(stage, *overrides, f"cell={name}", f"results_dir=results/{stage}/{name}", uncapped)
    shown = project.stage("aggregate", uncapped).stdout
    assert "inf [inf, inf]" in shown
    metrics = json.loads((project.folder / "results" / "aggregate" / "metrics.json").read_text())
    assert metrics["mean_ratio"] == {"identity": 1.0}
    project.stage("figures", uncapped)


def test_a_stage_without_the_one_before_it_says_which(tmp_path: Path) -> None:
    empty = Project.copy(tmp_path)
    assert "run `dvc repro prepare`" in empty.stage("model", code=2).stderr
    assert "run `dvc repro prepare`" in empty.stage("score", code=2).stderr
    empty.stage("prepare")
    assert "run `dvc repro model`" in empty.stage("score", code=2).stderr
    assert "run `dvc repro score@identity`" in empty.stage("aggregate", code=2).stderr
    outside = Project(tmp_path / "elsewhere")
    outside.folder.mkdir()
    assert "run this in the project's folder" in outside.stage("score", code=2).stderr


def test_help_version_and_completion(project: Project) -> None:
    shown = project.stage("score", "--help").stdout
    for group in (
        "data: digits, imagenet",
        "defense: bit_depth, chain, identity, jpeg, png, quantize",
        "preset: paper",
    ):
        assert group in shown
    assert "python -m pipeline.score -m defense=identity,jpeg" in shown
    version = project.run(sys.executable, "-m", "pipeline.score", "--version").stdout
    assert re.match(r"clever-robustness \d+\.\d+\.\d+, torch ", version)
    completed = project.run(
        "bash",
        "-ic",
        'eval "$(clever-score -sc install=bash)"; COMP_LINE="clever-score defense=" COMP_POINT=21 COMP_CWORD=1; '
        'hydra_bash_completion; printf "%s\\n" "${COMPREPLY[@]}"',
    )
    assert {"defense=identity", "defense=jpeg", "defense=quantize"} <= set(completed.stdout.split())


def test_trained_weights_are_kept_for_the_same_images_and_settings(project: Project) -> None:
    (kept,) = (project.folder / "store" / "weights").iterdir()
    before = kept.stat().st_mtime_ns
    (project.folder / "models" / "small_densenet" / "weights.pt").unlink()
    project.stage("model")
    assert kept.stat().st_mtime_ns == before
    project.stage("model", "weights.epochs=1")
    assert len(list((project.folder / "store" / "weights").iterdir())) == 2


def test_training_is_the_same_for_the_same_seed_and_learns() -> None:
    def trained(seed: int) -> tuple[torch.Tensor, float]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
        images = torch.rand(64, 3, 4, 4)
        labels = (images[:, 0].mean((1, 2)) > 0.5).long()
        train(network, images, labels, epochs=250, batch=16, learning_rate=0.1, seed=seed)
        return network[1].weight.detach(), float((network(images).argmax(1) == labels).float().mean())

    assert torch.equal(trained(1)[0], trained(1)[0])
    assert not torch.equal(trained(1)[0], trained(2)[0])
    assert trained(1)[1] > 0.8
