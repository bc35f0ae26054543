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
import psutil
import pytest
import torch
import torchvision

from clever.results import record
from conftest import TINY, Project, stored_points
from pipeline.model.optimisers import OneCycle
from pipeline.model.training import Recipe, train
from pipeline.score.run import without_weights_folder
from pipeline.shared.models.classifier import load_weights, sha256_of

SCORE = (sys.executable, "-m", "pipeline.score", *TINY.split())
TWO = {"bpda": "true,false", "defense": "identity,quantize"}
"""A sweep of four cells, of which one repeats another: BPDA or not, without a transformation."""
WAIT = 120.0
"""Seconds after which a test gives up waiting for another process; nothing is said about how long it takes."""


def npz(project: Project) -> dict[Path, int]:
    maxima = project.folder / "store" / "maxima"
    return {path: path.stat().st_mtime_ns for path in maxima.rglob("*.npz")}


def results(folder: Path) -> dict[str, bytes]:
    """Every file of results; what a run cost is no result."""
    files = {path for path in folder.rglob("*") if path.is_file() and path.name not in ("run.json", ".gitignore")}
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def costs(folder: Path) -> set[tuple[int, bool]]:
    """Of each cell in the folder: what was computed, and whether anything came from the store."""
    runs = [json.loads(path.read_text()) for path in folder.rglob("run.json")]
    kinds = [("points" if "points_computed" in run else "attacks", run) for run in runs]
    return {(run[f"{kind}_computed"], run[f"{kind}_from_store"] > 0) for kind, run in kinds}


def test_dvc_runs_all_after_a_sweep_and_a_changed_sweep_changes_all(project: Project) -> None:
    """The whole of `dvc repro`; what a sweep outside it sampled is only read."""
    project.experiment("defenses", **TWO)
    project.experiment("orders", settings="norms: [L2]", model="mlp_tanh", order="first_order,second_order")
    project.run("dvc", "init", "--no-scm", "--quiet")
    folder = project.folder / "results"
    project.stage("model", "experiment=defenses")
    project.stage("score", "-m", "experiment=defenses", tiny="")
    swept, before = results(folder), npz(project)
    project.run("dvc", "repro")
    assert costs(folder / "defenses" / "score") == {(0, True)}
    assert before.items() <= npz(project).items()
    assert {name: content for name, content in results(folder).items() if name in swept} == swept
    assert "up to date" in project.run("dvc", "repro").stdout

    summary = pd.read_csv(folder / "defenses" / "tables" / "summary.csv")
    assert list(summary.cell.unique()) == ["identity", "quantize", "quantize-no_bpda"]
    orders = folder / "orders" / "tables"
    assert list(pd.read_csv(orders / "orders.csv").cell.unique()) == ["mlp_tanh-second_order"]
    masked = summary[summary.cell == "quantize-no_bpda"]
    assert (masked.share_capped == 1).all()
    assert (masked.ratio > 1).all()
    names = {"scores", "bpda", "fits", "convergence", "images", "sandwich", "against", "masking", "adversaries"}
    names |= {f"curves_{norm}" for norm in ("L1", "L2", "Linf")}
    for kind, head in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        drawn = {path.stem: path.read_bytes() for path in (folder / "defenses" / "figures").glob(f"*.{kind}")}
        assert drawn.keys() == names
        assert all(content.startswith(head) for content in drawn.values())
        assert (folder / "orders" / "figures" / f"orders.{kind}").read_bytes().startswith(head)
    known = pd.read_csv(folder / "defenses" / "tables" / "cells.csv", index_col="cell")
    assert set(known.baseline) == {"identity"}
    assert known.accuracy.between(0.2, 1).all()
    assert set(pd.read_csv(orders / "cells.csv").baseline) == {"mlp_tanh-first_order"}
    assert "ratio_top2" in project.run("dvc", "metrics", "show").stdout
    project.run("dvc", "plots", "show", "--out", "plots")
    assert (project.folder / "plots" / "index.html").is_file()

    before = npz(project)
    project.experiment("defenses", defense="bit_depth,identity")
    project.run("dvc", "repro", "score@defenses")
    assert {path.name for path in (folder / "defenses" / "score").iterdir() if path.is_dir()} == {
        "bit_depth",
        "identity",
    }
    assert before.items() <= npz(project).items()
    stale = project.run("dvc", "status").stdout
    for stage in ("attack", "aggregate", "figures"):
        assert f"{stage}@defenses:" in stale
    assert "report:" in stale  # which shows the records of the runs
    for stage in (("attack", "-m"), ("aggregate",)):
        project.stage(*stage, "experiment=defenses", tiny="")
    tables = folder / "defenses" / "tables"
    assert list(pd.read_csv(tables / "summary.csv").cell.unique()) == ["bit_depth", "identity"]
    assert set(pd.read_csv(tables / "cells.csv").baseline) == {"bit_depth"}
    for name, content in (results(tables) | {"metrics": (folder / "defenses" / "metrics.json").read_bytes()}).items():
        assert b"no_bpda" not in content, name


def test_one_process_or_several_or_no_experiment_make_no_difference(project: Project) -> None:
    """Byte for byte: in this process, in a process a core, and as a sweep that belongs to no experiment."""
    project.experiment("two", "processes", defense="identity,jpeg")
    project.stage("model", "experiment=two")
    project.stage("score", "-m", "experiment=two", "hydra/launcher=basic")
    scores, maxima = project.folder / "results" / "two" / "score", project.folder / "store" / "maxima"
    alone, kept = results(scores), results(maxima)
    shutil.rmtree(project.folder / "store")
    shutil.rmtree(scores)
    shown = project.run(*SCORE[:3], "-m", *SCORE[3:], "experiment=two")
    assert "is launching 2 jobs" in shown.stdout + shown.stderr
    assert len(re.findall(r"(identity|jpeg): 2 of 2 images scored", shown.stderr + shown.stdout)) == 2
    assert results(scores) == alone
    assert results(maxima) == kept

    shutil.rmtree(project.folder / "store")
    project.stage("score", "-m", "defense=identity,jpeg")
    for cell in ("identity", "jpeg"):
        (swept,) = (project.folder / "multirun").rglob(f"*-{cell}/scores.csv")
        assert swept.read_bytes() == alone[f"{cell}/scores.csv"]
    project.stage("score", "experiment=two", "defense=jpeg", "store_dir=other")  # one cell of the experiment
    assert (scores / "jpeg" / "scores.csv").read_bytes() == alone["jpeg/scores.csv"]


def test_a_sweep_that_is_killed_ends_its_processes_and_goes_on_where_it_was(project: Project) -> None:
    """SIGKILL, which nothing can catch, to the sweep's own process alone; that no digit changes, see test_faults."""
    project.experiment("two", "processes", defense="identity,quantize")
    project.stage("model", "experiment=two")
    more = ("-m", "experiment=two", "score.n_images=1", "sampling.n_batches=400", "norms=[L2]", "targets=[top2]")
    process = project.start(*SCORE[:3], "-m", *SCORE[3:], *more[1:])
    began = time.monotonic()
    while len({path.parent for path in npz(project)}) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < began + WAIT
        time.sleep(0.005)
    workers = [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]
    process.kill()
    process.communicate()
    assert workers
    assert not psutil.wait_procs(workers, timeout=WAIT)[1]
    finished = stored_points(project.folder / "store", 8)
    assert not list((project.folder / "results").rglob("scores.csv"))

    project.stage("score", *more, "hydra/launcher=basic")
    runs = [json.loads(path.read_text()) for path in (project.folder / "results").rglob("run.json")]
    assert sum(run["points_from_store"] for run in runs) == finished > 0  # nothing was computed twice
    assert sum(run["points_computed"] for run in runs) > 0


@pytest.mark.parametrize(
    ("sent", "code", "message", "ended"),
    [(signal.SIGINT, 130, "interrupted", "KeyboardInterrupt"), (signal.SIGTERM, 143, "terminated", "SystemExit")],
)
def test_an_interrupted_run_says_so_and_records_why_it_ended(
    project: Project, sent: signal.Signals, code: int, message: str, ended: str
) -> None:
    process = project.start(*SCORE, "sampling.n_batches=5000")
    while not npz(project) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == code
    assert f"{message}; finished work is saved" in err
    assert "Traceback" not in err
    shown = project.stage("state", "sampling.n_batches=5000").stdout
    assert re.search(rf"\| score +\| all +\| +2 \| +0 \| {ended}, .*, process {process.pid}\)", shown)


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
    told = json.loads((project.folder / "run" / "scores.json").read_text())
    assert [one["score"] for one in told["scores"]] == pytest.approx(list(table.score))
    assert [one["name"] for one in told["scores"]] == list(table.id)
    assert told["run"]["network"]["name"] == "small_densenet"
    assert told["run"]["defense"].startswith("JPEG(quality=30")
    pytest.importorskip("jsonschema").Draft202012Validator(record.schema()).validate(told)
    assert "jpeg: 2 of 2 images scored" in shown.stdout


def test_misclassified_images_are_left_out_and_counted(project: Project) -> None:
    manifest = project.folder / "data" / "prepared" / "digits" / "manifest.csv"
    table = pd.read_csv(manifest)
    table.loc[0, "label"] = (table.label[0] + 1) % 10
    table.to_csv(manifest, index=False)
    project.stage("score", "results_dir=run")
    run = json.loads((project.folder / "run" / "run.json").read_text())
    assert (run["scored"], run["left_out_misclassified"]) == (1, 1)


BAD = {
    "defense=jpg": r"Could not find 'defense/jpg'(.|\n)*bit_depth(.|\n)*jpeg(.|\n)*quantize",
    "defence=jpeg": "unknown setting|Could not override 'defence'",
    "sampling.n_batche=3": "unknown setting sampling.n_batche: sampling has ascent, cap, clip, curvature, ",
    "defense=jpeg defense.quality=0": "quality of JPEG is 0: it must be a whole number from 1 to 100",
    "sampling.radius.L2=0": "radius of the L2 ball is 0",
    "sampling.radius.L1=-2": "radius of the L1 ball is -2",
    "sampling.n_batches=2": "n_batches is 2: the estimator mle_reg needs at least 5",
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
    "bpda=maybe": "bpda is 'maybe': it must be true or false",
    "bpda=null": "bpda is None: it must be true or false",
    "score=3": "score is 3: it must be a group of settings",
    "score.n_images=1.5": "score.n_images is 1.5: it must be a whole number",
    "threads=many": "threads is 'many': it must be a whole number or null",
    "sampling.path=[]": "sampling.path is .*: it must be true or false",
    "defense=jpeg defense.qualty=30": "unknown setting defense.qualty: defense has _target_, codec, quality",
    "sampling.radius.L2=abc": "radius of the L2 ball is 'abc'",
    "+sampling.foo=1": "unexpected keyword argument 'foo'",
    "device=cuda:77": "device=cuda:77 is not available here",
    "experiment=defences": "Could not find 'experiment/defences'",
    "experiment=defenses": "is a sweep over bpda, defense, and this run does not set bpda, defense:",
    "experiment=defenses defense=jpeg": "does not set bpda: add -m to run all cells, or choose one, for example bpda=",
    "-m experiment=defenses defense=jpeg": "defense is swept by the experiment itself: change its values with 'hydra",
    "-m experiment=defenses seed=1,2": "a sweep over seed in addition to the experiment's own: add it to",
}


@pytest.mark.parametrize("overrides", BAD)
def test_bad_input_is_refused_before_any_sampling(project: Project, overrides: str) -> None:
    shown = project.stage("score", *overrides.split(), code=2)
    assert re.search(BAD[overrides], shown.stderr), shown.stderr
    assert "Traceback" not in shown.stderr
    assert not npz(project)


@pytest.mark.parametrize("stage", ["model", "plan", "aggregate"])
def test_what_the_sweep_varies_is_not_set_beside_it_in_silence(project: Project, stage: str) -> None:
    shown = project.stage(stage, "experiment=orders", "model=mlp_tanh", code=2)
    assert (
        "model is swept by the experiment itself: change its values with 'hydra.sweeper.params.model=" in shown.stderr
    )


def test_a_target_equal_to_the_predicted_class_is_refused(project: Project) -> None:
    label = pd.read_csv(project.folder / "data" / "prepared" / "digits" / "manifest.csv").label[0]
    shown = project.stage("score", f"targets=[{label}]", code=2)
    assert f"target class {label} is the predicted class" in shown.stderr
    assert not npz(project)


def test_a_network_that_gives_nan_is_refused(project: Project) -> None:
    path = project.folder / "models" / "ad_hoc" / "small_densenet" / "weights.pt"
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
        return project.stage("model", *file, *overrides, code=code).stderr

    copy = shutil.copy(project.folder / "data" / "weights" / "small_densenet.pt", project.folder / "copy.pt")
    found = re.search(r"the sha256 of .* is ([0-9a-f]{64})", model(copy, "f" * 64))
    assert found
    model(copy, found[1], code=0)
    assert "do not fit DenseNet" in model(copy, found[1], "model.network.block_config=[3,3]")
    assert "gone.pt: there is no such file" in model("gone.pt", "f" * 64)
    evil = project.folder / "evil.pt"
    torch.save({"weight": Project}, evil)
    digest = hashlib.sha256(evil.read_bytes()).hexdigest()
    assert "no state_dict that can be loaded safely" in model(evil, digest)


def test_published_weights_are_those_described_beside_them(project: Project) -> None:
    weights = project.folder / "data" / "weights"
    made = project.folder / "models" / "ad_hoc" / "small_densenet"
    ours, theirs = (
        torch.load(path, weights_only=True) for path in (weights / "small_densenet.pt", made / "weights.pt")
    )
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    shown = project.stage("model", "model=densenet121", code=2).stderr
    assert re.search("data/weights/densenet121.pt or densenet121.json does not exist; published weights: cnn_", shown)
    content = bytearray((weights / "small_densenet.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (weights / "small_densenet.pt").write_bytes(content)
    assert "but the sha256 of data/weights/small_densenet.pt is" in project.stage("model", code=2).stderr


def test_torchvisions_densenet_files_have_older_names_and_load_all_the_same() -> None:
    network = torchvision.models.densenet121(weights=None)
    old = {
        re.sub(r"(denselayer\d+\.(norm|conv))([12]\.)", r"\1.\3", name): v for name, v in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    other = torchvision.models.densenet121(weights=None)
    load_weights(other, old, "a file")
    assert all(torch.equal(v, network.state_dict()[name]) for name, v in other.state_dict().items())


def test_two_networks_of_one_name_are_refused(project: Project) -> None:
    project.experiment("two", model__network__growth_rate="8,4")
    assert (
        "two networks of the experiment are called small_densenet"
        in project.stage("model", "experiment=two", code=2).stderr
    )


def test_the_store_may_lie_anywhere(project: Project) -> None:
    project.stage("score", f"store_dir={project.folder}/elsewhere", "norms=L2", "targets=top2")
    assert not npz(project)
    assert list((project.folder / "elsewhere").rglob("*.npz"))


def test_unbounded_scores_stand_in_table_and_figures(project: Project) -> None:
    project.experiment("two", settings="sampling: {cap: false}\nnorms: [L2]\nbpda: false", defense="identity,quantize")
    project.whole("two")
    folder = project.folder / "results" / "two"
    assert "| inf" in (folder / "tables" / "tables.md").read_text()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["ratio_top2"] == {"L2": {"identity": 1.0}}


def test_figures_show_the_images_that_are_there(project: Project) -> None:
    """Stages may have run on different machines, and examples are seldom copied."""
    project.experiment("two", settings="norms: [L2]\ntargets: [top2]", defense="identity,quantize")
    project.whole("two")
    folder = project.folder / "results" / "two"
    sheets = [folder / "figures" / f"{name}.png" for name in ("images", "adversaries")]
    both = [sheet.read_bytes() for sheet in sheets]
    (folder / "score" / "quantize" / "examples.npz").unlink()
    project.stage("figures", "experiment=two")
    assert all(sheet.read_bytes() != before for sheet, before in zip(sheets, both, strict=True))


def test_scores_of_another_program_are_refused_where_there_is_no_exact_distance(tmp_path: Path) -> None:
    project, peers = Project.copy(tmp_path), "peers=data/peers/clever_t_digits.csv"
    shown = project.stage("aggregate", "experiment=orders", peers, code=2).stderr
    assert f"{peers} requires exact distances: set attack.exact=true, or peers=null" in shown


def test_a_stage_without_the_one_before_it_says_which(tmp_path: Path) -> None:
    empty = Project.copy(tmp_path)
    cell = ("experiment=defenses", "bpda=true", "defense=jpeg")
    assert "run `dvc repro prepare`" in empty.stage("model", "experiment=defenses", code=2).stderr
    assert "run `dvc repro prepare`" in empty.stage("score", *cell, code=2).stderr
    empty.stage("prepare")
    assert "run `dvc repro model`" in empty.stage("score", *cell, code=2).stderr
    shown = empty.stage("aggregate", "experiment=defenses", code=2).stderr
    assert "run `dvc repro score` or `python -m pipeline.score -m experiment=defenses` first" in shown
    shown = empty.stage("figures", "experiment=defenses", code=2).stderr
    assert "or `python -m pipeline.aggregate experiment=defenses` first" in shown
    for stage in ("aggregate", "figures"):
        assert "no experiment was chosen: add experiment=NAME" in empty.stage(stage, code=2).stderr
    outside = Project(tmp_path / "elsewhere")
    outside.folder.mkdir()
    assert "run this in the project folder" in outside.stage("score", code=2).stderr


def test_results_name_a_file_of_weights_without_its_folder() -> None:
    told = {"sha256": "12", "weights": {"path": "/home/me/w.pth", "key": None}}
    assert without_weights_folder(told) == {"sha256": "12", "weights": {"path": "w.pth", "key": None}}
    for others in ({"url": "https://example.org/w.pth"}, {"path": {"_target_": "a_package.path"}}):
        assert without_weights_folder({"weights": others}) == {"weights": others}


def test_help_and_version(project: Project) -> None:
    shown = project.stage("score", "--help").stdout
    for group in (
        "data: cifar10, cifar10_training, digits, ",
        "defense: bit_depth, chain, crop_ensemble, gaussian_blur, identity, jpeg, median, noise, png, quantize",
        "experiment: ",
        "preset: library, paper",
    ):
        assert group in shown
    assert "python -m pipeline.score -m experiment=defenses" in shown
    version = project.stage("score", "--version").stdout
    assert re.match(r"clever-robustness \d+\.\d+\.\d+, torch ", version)


def test_trained_weights_are_kept_for_the_same_images_and_settings_and_can_be_published(project: Project) -> None:
    """Damaged, they are trained anew, to the same digits."""
    project.experiment("smooth", model="mlp_tanh")
    train = ("experiment=smooth", "weights=trained", "weights.epochs=1")
    weights = project.folder / "models" / "smooth" / "mlp_tanh" / "weights.pt"
    store = project.folder / "store" / "weights"
    project.stage("model", *train)
    (kept,) = store.iterdir()
    before, content, when = (
        torch.load(weights, weights_only=True),
        bytearray(kept.read_bytes()),
        kept.stat().st_mtime_ns,
    )
    weights.unlink()
    project.stage("model", *train)
    assert kept.stat().st_mtime_ns == when
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    shown = project.stage("model", *train).stderr
    assert f"{kept.relative_to(project.folder)} cannot be used and will be computed again" in shown
    after = torch.load(weights, weights_only=True)
    assert all(torch.equal(before[name], after[name]) for name in before)
    project.stage("model", *train, "weights.learning_rate=0.001")
    assert len(list(store.iterdir())) == 2

    assert "only trained weights can be published" in project.stage("publish", "experiment=smooth", code=2).stderr
    project.stage("publish", *train)
    about = json.loads((project.folder / "data" / "weights" / "mlp_tanh.json").read_text())
    assert about["training"]["epochs"] == 1
    assert "experiment=smooth weights=trained" in about["command"]
    assert about["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    project.stage("model", "experiment=smooth")
    published = torch.load(weights, weights_only=True)
    assert all(torch.equal(before[name], published[name]) for name in before)
    assert json.loads(weights.with_name("about.json").read_text())["accuracy"] == about["accuracy"]


def test_training_is_the_same_for_the_same_seed_and_learns() -> None:
    def trained(seed: int) -> tuple[torch.Tensor, float]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
        images = torch.rand(64, 3, 4, 4)
        labels = (images[:, 0].mean((1, 2)) > 0.5).long()
        train(network, images, labels, Recipe(250, 16, 0.1, seed, OneCycle(), shift=2))
        return network[1].weight.detach(), float((network(images).argmax(1) == labels).float().mean())

    first, right = trained(1)
    assert torch.equal(trained(1)[0], first)
    assert not torch.equal(trained(2)[0], first)
    assert right > 0.8
