"""Jobs that share a cell: any number, any order, on this machine and on a real Slurm; and what they tell meanwhile."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clever.errors import InputError
from conftest import ROOT, TINY, Project
from pipeline.shared.shard import Shard

IMAGES = ("score.n_images=7", "attack.images=2")
SIX = ("score.n_images=6", "sampling.n_batches=40")
WAIT = 120.0
"""Seconds after which a test gives up waiting for another process; nothing is said about how long it takes."""


def content(project: Project, *folders: str) -> dict[str, bytes]:
    """Every file of the store's folders but reports on progress, which tell times."""
    root = project.folder / "store"
    files = (path for name in folders for path in sorted((root / name).rglob("*.npz")))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def of_run(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def cells(project: Project, text: str) -> None:
    path = project.folder / "params.yaml"
    path.write_text(f"{path.read_text().split('cells:')[0]}cells:\n{text}")


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_shards_deal_out_every_image_once(count: int, together: int) -> None:
    rows = [Shard(index, count).rows(20, together) for index in range(count)]
    assert sorted(np.concatenate(rows)) == list(range(20))
    sizes = [len(part) for part in rows]
    assert max(sizes) - min(sizes) <= together
    for part in rows:
        assert all(set(range(row // together * together, row)) <= set(part) for row in part)


@pytest.mark.parametrize(("index", "count"), [(0, 0), (3, 3), (-1, 2), (0.5, 2), (True, 2)])
def test_what_is_no_shard_is_refused(index: object, count: object) -> None:
    with pytest.raises(InputError, match=r"shards? is .*: it must be a whole number"):
        Shard(index, count)


@pytest.mark.parametrize("stage", ["score", "attack"])
def test_number_and_order_of_shards_change_no_digit(project: Project, stage: str) -> None:
    kept = {"score": "maxima", "attack": "attacks"}[stage]
    table = {"score": "scores.csv", "attack": "distances.csv"}[stage]
    project.stage(stage, *IMAGES, "results_dir=alone")
    alone = content(project, kept)
    assert alone
    for order in ([2, 0, 1], [1, 1, 0], [8, 0, 3, 4, 7, 1, 6, 2, 5]):
        shutil.rmtree(project.folder / "store" / kept)
        for shard in order:
            shards = max(order) + 1
            project.stage(stage, *IMAGES, f"shards={shards}", f"shard={shard}", f"results_dir=shard-{shard}")
        assert content(project, kept) == alone
        project.stage(stage, *IMAGES, "results_dir=after")
        run = of_run(project.folder / "after")
        assert run["points_computed" if stage == "score" else "attacks_computed"] == 0
        assert (project.folder / "after" / table).read_bytes() == (project.folder / "alone" / table).read_bytes()


def test_two_processes_share_the_images_of_all_cells(project: Project) -> None:
    """The launcher of one machine, with cells, overrides and networks of params.yaml."""
    cells(project, "  identity: defense=identity\n  quantize_no_bpda: defense=quantize bpda=false\n")
    shards = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "shards=2", "shard=range(2)")
    project.run(sys.executable, "-m", "pipeline.shard", "-m", *shards)
    for cell, overrides in (("identity", ()), ("quantize_no_bpda", ("defense=quantize", "bpda=false"))):
        for stage, cost in (("score", "points_computed"), ("attack", "attacks_computed")):
            project.stage(stage, *overrides, f"cell={cell}", f"results_dir=results/{stage}/{cell}")
            assert of_run(project.folder / "results" / stage / cell)[cost] == 0
    shown = project.stage("state", tiny="").stdout
    assert "8 of 8 done, 0 in work, 0 missing" in shown


def row(shown: str, stage: str, cell: str) -> list[str]:
    (line,) = (line for line in shown.splitlines() if re.match(rf"\| {stage} +\| {cell} +\|", line))
    return [word.strip() for word in line.split("|")[3:-1]]


def test_the_state_tells_what_is_done_in_work_and_missing(project: Project) -> None:
    cells(project, "  identity: defense=identity score.n_images=6 sampling.n_batches=40\n")
    assert row(project.stage("state", tiny="").stdout, "score", "identity")[:4] == ["6", "0", "0", "6"]
    project.stage("score", *SIX, "shards=3", "shard=0")
    shown = project.stage("state", tiny="").stdout
    assert row(shown, "score", "identity")[:4] == ["6", "2", "0", "4"]
    assert re.search(r"time left, with one process \(none is at work\): ", shown)

    command = ("pipeline.score", *TINY.split(), *SIX, "shards=3", "shard=1", "results_dir=one")
    process = project.start(sys.executable, "-m", *command)
    try:
        began = time.monotonic()
        reports = project.folder / "store" / "progress"
        while len(list(reports.rglob("*.json"))) < 2 and time.monotonic() < began + WAIT:
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        assert process.poll() is None
        shown = project.stage("state", tiny="").stdout
        assert row(shown, "score", "identity")[:4] == ["6", "2", "2", "2"]
        assert "with the 1 processes at work" in shown
    finally:
        process.kill()
        process.communicate()
    shown = project.stage("state", tiny="").stdout
    assert row(shown, "score", "identity")[:4] == ["6", "2", "0", "4"]
    assert re.search(
        rf"score identity: shard 1 of 3 \(.*process {process.pid}\) silent at .* after 0 of 2 images", shown
    )
    for shard in (1, 2):
        project.stage("score", *SIX, "shards=3", f"shard={shard}")
    shown = project.stage("state", tiny="").stdout
    assert row(shown, "score", "identity")[:4] == ["6", "6", "0", "0"]
    assert "silent" not in shown


def test_an_interrupted_run_tells_how_it_ended(project: Project) -> None:
    cells(project, "  identity: defense=identity score.n_images=6\n")
    process = project.start(sys.executable, "-m", "pipeline.score", *TINY.split(), "score.n_images=6")
    while not list((project.folder / "store" / "maxima").rglob("*.npz")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT)
    assert "ended by SystemExit" in project.stage("state", tiny="").stdout


def test_a_cell_that_cannot_run_is_refused_before_any_other_is_begun(project: Project) -> None:
    cells(project, "  identity: defense=identity\n  jpeg: defense=jpeg attack.steps=0\n")
    shown = project.stage("shard", tiny="", code=2)
    assert "attack.steps is 0" in shown.stderr
    assert not list((project.folder / "store").rglob("maxima"))


def test_a_defect_in_a_job_stays_a_defect(project: Project) -> None:
    """In a process of the launcher: a defense that raises what no setting of ours explains."""
    sweep = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "shards=2", "shard=range(2)")
    code = "class Odd:\n    __repr__ = lambda self: 'Odd()'\n    def __call__(self, images): raise ValueError('odd')\n"
    (project.folder / "odd.py").write_text(code)
    (project.folder / "conf" / "defense" / "none.yaml").write_text("_target_: odd.Odd\n")
    shown = project.run(sys.executable, "-m", "pipeline.score", *sweep, *TINY.split(), "defense=none", code=1)
    assert "ValueError: odd" in shown.stderr


def test_numbers_of_another_kind_of_device_are_not_computed_anew_by_accident(project: Project) -> None:
    project.stage("score")
    (path,) = (project.folder / "store" / "progress").rglob("*.json")
    path.write_text(path.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    shown = project.stage("score", code=2)
    assert "identity was computed on cuda before, and device=auto is cpu here" in shown.stderr
    project.stage("score", "device=cpu")


def test_the_state_knows_what_was_only_read_and_survives_a_foreign_report(project: Project) -> None:
    cells(project, "  identity: defense=identity\n")
    for _ in range(2):
        project.stage("score")
        project.stage("attack")
        reports = list((project.folder / "store" / "progress").rglob("*.json"))
    assert len(reports) == 4
    for path in reports:
        report = json.loads(path.read_text())
        path.write_text("{}" if report["work"] else path.read_text())
    shown = project.stage("state", tiny="")
    assert "4 of 4 done, 0 in work, 0 missing" in shown.stdout
    assert "unknown" not in shown.stdout
    assert shown.stderr.count("is no report") == 2


def slurm_is_up() -> bool:
    return shutil.which("sinfo") is not None and not subprocess.run(["sinfo"], capture_output=True).returncode


def written(results: Path) -> dict[str, str]:
    """The hash of every result; what a run cost is no result."""
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.name not in ("run.json", ".gitignore")
    }


@pytest.mark.slurm
@pytest.mark.skipif(not slurm_is_up(), reason="no Slurm here: tests/one_node_slurm.sh starts one, as root")
def test_make_cluster_with_a_job_killed_and_requeued_is_dvc_repro_alone(project: Project) -> None:
    """Every digit: three jobs, of which one is put back into the queue and killed by SIGKILL in the middle."""
    shutil.copy(ROOT / "Makefile", project.folder)
    cells(project, "  identity: defense=identity\n  jpeg: defense=jpeg\n")
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("n_images=2 sampling.n_batches=6", "n_images=7 sampling.n_batches=60"))
    project.run("dvc", "init", "--no-scm", "--quiet")
    project.run("dvc", "repro", "aggregate")
    results = project.folder / "results"
    alone = written(results)
    sampled = content(project, "maxima", "attacks")
    shutil.rmtree(results)
    shutil.rmtree(project.folder / ".dvc" / "cache")
    for name in ("maxima", "attacks", "progress"):
        shutil.rmtree(project.folder / "store" / name)

    environment = Path(sys.executable).parents[1]  # the one that these tests run in, as it is
    made = ("make", "cluster", f"VENV={environment}", "-o", f"{environment}/bin/ready")
    process = project.start(*made, "SHARDS=3", "JOBS=threads=1")
    began, victim = time.monotonic(), None
    while victim is None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < began + WAIT, "no job at work"
        for path in (project.folder / "store" / "progress").rglob("*.json"):
            report = json.loads(path.read_text())
            if not report["ended"]:
                victim = report
    subprocess.run(["scontrol", "requeue", victim["job"]], check=True)
    subprocess.run(["kill", "-9", str(victim["pid"])], check=True)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, f"{out}\n{err}"
    reports = [json.loads(path.read_text()) for path in (project.folder / "store" / "progress").rglob("*.json")]
    assert len({report["pid"] for report in reports if report["job"] == victim["job"]}) == 2
    assert {report["shard"] for report in reports if report["job"]} == {0, 1, 2}

    assert content(project, "maxima", "attacks") == sampled
    for cell in ("identity", "jpeg"):
        assert of_run(results / "score" / cell)["points_computed"] == 0
        assert of_run(results / "attack" / cell)["attacks_computed"] == 0
    again = written(results)
    assert {name: again.get(name) for name in alone} == alone
    assert "Report: results/report.html" in out
