"""Jobs that share a cell: any number, any order, on this machine and on a real Slurm; and what they tell meanwhile."""

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
from pipeline.shared.data.shard import Shard
from test_pipeline import WAIT, costs, results

IMAGES = ("score.n_images=4", "attack.images=2", "norms=[L2]")
SIX = ("score.n_images=6", "sampling.n_batches=40", "norms=[L2]")


def content(project: Project, *folders: str) -> dict[str, bytes]:
    """Every file of the store's folders but records of progress, which have times."""
    root = project.folder / "store"
    files = (path for name in folders for path in sorted((root / name).rglob("*.npz")))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def of_run(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


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
    for order in ([2, 0, 1, 1], [4, 0, 3, 1, 2]):  # one of them twice; more shards than images
        shutil.rmtree(project.folder / "store" / kept)
        for shard in order:
            shards = max(order) + 1
            project.stage(stage, *IMAGES, f"shards={shards}", f"shard={shard}", f"results_dir=shard-{shard}")
        assert content(project, kept) == alone
        project.stage(stage, *IMAGES, "results_dir=after")
        run = of_run(project.folder / "after")
        assert run["points_computed" if stage == "score" else "attacks_computed"] == 0
        assert (project.folder / "after" / table).read_bytes() == (project.folder / "alone" / table).read_bytes()


def test_jobs_share_the_images_of_all_cells_and_of_no_experiment(project: Project) -> None:
    """They fill the store, out of which the plain commands make the results."""
    project.set(norms=["L2"])
    project.experiment("two", settings="bpda: false", defense="identity,quantize")
    project.stage("model", "experiment=two")
    for stage, cost in (("score", "points_computed"), ("attack", "attacks_computed")):
        shards = ("experiment=two", "shards=2", "shard=range(2)", "attack.images=1")
        shown = project.stage(stage, "-m", *shards, tiny="")
        assert len(re.findall(r"outputs/|multirun/", shown.stdout)) >= 4 - shown.stdout.count("has no image")
        assert not (project.folder / "results" / "two" / stage).exists()  # a part of a table is no result
        project.stage(stage, "-m", "experiment=two", "attack.images=1", tiny="")
        for cell in ("identity", "quantize"):
            assert of_run(project.folder / "results" / "two" / stage / cell)[cost] == 0
    shown = project.stage("state", "experiment=two", "attack.images=1", tiny="").stdout
    assert "8 of 8 done" in shown
    project.stage("score", "-m", "shards=2", "shard=range(2)", tiny="")
    project.stage("score", "results_dir=whole", tiny="")
    assert of_run(project.folder / "whole")["points_computed"] == 0


def row(shown: str, stage: str, cell: str) -> list[str]:
    (line,) = (line for line in shown.splitlines() if re.match(rf"\| {stage} +\| {cell} +\|", line))
    return [word.strip() for word in line.split("|")[3:-1]]


def test_the_state_tells_what_is_done_and_how_the_last_process_ended(project: Project) -> None:
    project.set(score__n_images=6, sampling__n_batches=40, norms=["L2"])
    assert row(project.stage("state", tiny="").stdout, "score", "all") == ["6", "0", ""]
    project.stage("score", *SIX, "shards=3", "shard=0")
    images, done, last = row(project.stage("state", tiny="").stdout, "score", "all")
    assert (images, done, last.split(",")[0]) == ("6", "2", "finished")

    command = ("pipeline.score", *TINY.split(), *SIX, "shards=3", "shard=1", "results_dir=one")
    process = project.start(sys.executable, "-m", *command)
    try:
        began = time.monotonic()
        records = project.folder / "store" / "progress"
        while len(list(records.rglob("*.json"))) < 2 and time.monotonic() < began + WAIT:
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    images, done, last = row(project.stage("state", tiny="").stdout, "score", "all")
    assert (images, done) == ("6", "2")
    assert re.match(rf"running or killed, .* UTC \(.*, process {process.pid}\)", last)
    for shard in (1, 2):
        project.stage("score", *SIX, "shards=3", f"shard={shard}")
    images, done, last = row(project.stage("state", tiny="").stdout, "score", "all")
    assert (images, done, last.split(",")[0]) == ("6", "6", "finished")


ODD = """
class Odd:
    def __repr__(self):
        return "Odd()"

    def __call__(self, images):
        if len(images) > 1:
            raise ValueError("odd")
        return images
"""


def test_a_defect_in_a_job_stays_a_defect(project: Project) -> None:
    """In a process of the launcher: a defense that raises what no setting of ours explains."""
    sweep = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    (project.folder / "odd.py").write_text(ODD)
    (project.folder / "conf" / "defense" / "none.yaml").write_text("_target_: odd.Odd\n")
    shown = project.run(sys.executable, "-m", "pipeline.score", *sweep, *TINY.split(), "defense=none", code=1)
    assert "ValueError: odd" in shown.stderr


def test_numbers_of_another_kind_of_device_are_not_computed_anew_by_accident(project: Project) -> None:
    project.stage("score")
    (path,) = (project.folder / "store" / "progress").rglob("*.json")
    path.write_text(path.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    shown = project.stage("score", code=2)
    assert "identity was computed on cuda before, and device=auto chooses cpu here" in shown.stderr
    project.stage("score", "device=cpu")


def test_the_state_knows_what_was_only_read_and_survives_a_foreign_record(project: Project) -> None:
    for _ in range(2):
        project.stage("score")
        project.stage("attack")
        reports = list((project.folder / "store" / "progress").rglob("*.json"))
    assert len(reports) == 4
    for path in reports:
        report = json.loads(path.read_text())
        path.write_text("{}" if report["work"] else path.read_text())
    shown = project.stage("state", tiny="")
    assert "4 of 4 done" in shown.stdout
    assert shown.stderr.count("is not a valid progress record") == 2


def slurm_is_up() -> bool:
    return shutil.which("sinfo") is not None and not subprocess.run(["sinfo"], capture_output=True).returncode


@pytest.mark.slurm
@pytest.mark.skipif(not slurm_is_up(), reason="no Slurm here: tests/one_node_slurm.sh starts one, as root")
def test_make_cluster_with_a_job_killed_and_requeued_is_what_one_process_makes(project: Project) -> None:
    """Every digit: two jobs a stage, one of them put back into the queue and killed by SIGKILL."""
    project.set(score__n_images=4, sampling__n_batches=60, norms=["L2"], targets=["top2"], attack__images=1)
    project.experiment("one", defense="jpeg")
    project.stage("model", "experiment=one", tiny="")
    for stage in ("score", "attack"):
        project.stage(stage, "-m", "experiment=one", tiny="")
    project.stage("aggregate", "experiment=one", tiny="")
    alone, sampled = results(project.folder / "results"), content(project, "maxima", "attacks")
    shutil.rmtree(project.folder / "results")
    for name in ("maxima", "attacks", "progress"):
        shutil.rmtree(project.folder / "store" / name)

    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, project.folder)
    ready = project.folder / "venv" / "bin" / "ready"  # the environment is the one that these tests run in, as it is
    ready.parent.mkdir(parents=True)
    ready.touch()
    process = project.start("make", "cluster", "VENV=venv", "EXPERIMENT=one", "SHARDS=2")
    victim = None
    while victim is None:
        assert process.poll() is None, process.communicate()
        for path in (project.folder / "store" / "progress").rglob("*.json"):
            report = json.loads(path.read_text())
            if report["job"] and not report["exit_reason"]:
                victim = report
    subprocess.run(["scontrol", "requeue", victim["job"]], check=True)
    subprocess.run(["kill", "-9", str(victim["pid"])], check=True)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, f"{out}\n{err}"
    reports = [json.loads(path.read_text()) for path in (project.folder / "store" / "progress").rglob("*.json")]
    assert len({report["pid"] for report in reports if report["job"] == victim["job"]}) == 2
    assert {tuple(report["images"]) for report in reports if report["job"] and report["exit_reason"]} == {
        (0, 2),
        (1, 3),
    }

    assert content(project, "maxima", "attacks") == sampled
    folder = project.folder / "results" / "one"
    assert costs(folder / "score") | costs(folder / "attack") == {(0, True)}
    again = results(project.folder / "results")
    assert {name: again.get(name) for name in alone} == alone
    assert "report: results/one/report.html" in out
