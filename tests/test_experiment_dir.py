"""An experiment whose results lie in a folder that its run names."""

import json
import subprocess

import pandas as pd

from conftest import TINY, Project

ELSEWHERE = f"{TINY} experiment_dir=elsewhere/run"


def test_every_stage_reads_and_writes_in_the_folder_that_is_named(project: Project) -> None:
    """And none in results/, which verify compares it with."""
    project.experiment("one", defense="identity,quantize")
    project.whole("one", tiny=ELSEWHERE)
    project.stage("report", "experiment=one", tiny=ELSEWHERE)
    assert not (project.folder / "results").exists()
    folder = project.folder / "elsewhere" / "run"
    made = {path.name for path in folder.iterdir()}
    assert made == {"score", "attack", "tables", "figures", "metrics.json", "report.html", "claims.csv"}
    assert 'id="one"' in (folder / "report.html").read_text()
    assert set(pd.read_csv(folder / "claims.csv").experiment) == {"one"}

    (folder / "tables").rename(folder / "kept")
    shown = project.stage("report", "experiment=one", tiny=ELSEWHERE, code=2).stderr
    assert "pipeline.aggregate experiment=one" in shown
    committed = project.folder / "results" / "one"
    committed.mkdir(parents=True)
    (folder / "kept").rename(committed / "tables")
    git = ("git", "-c", "user.name=Tests", "-c", "user.email=tests@localhost")
    for command in (("init", "--quiet"), ("add", "results"), ("commit", "--quiet", "-m", "Results")):
        subprocess.run([*git, *command], cwd=project.folder, check=True)
    project.stage("aggregate", "experiment=one", tiny=ELSEWHERE)
    assert "within the limits" in project.stage("verify", "experiment=one", tiny=ELSEWHERE).stdout
    scores = pd.read_csv(folder / "tables" / "scores.csv")
    scores.assign(score=2 * scores.score).to_csv(folder / "tables" / "scores.csv", index=False)
    assert (
        "elsewhere/run/tables/scores.csv, score"
        in project.stage("verify", "experiment=one", tiny=ELSEWHERE, code=1).stdout
    )


def test_distances_are_taken_from_the_results_of_the_other_experiment(project: Project) -> None:
    for name in ("one", "other"):
        project.experiment(name, settings="bpda: false", defense="quantize")
        project.stage("model", f"experiment={name}")
    for stage in ("score", "attack"):
        project.stage(stage, "-m", "experiment=one")
    project.stage("score", "-m", "experiment=other", tiny=ELSEWHERE)
    project.stage("attack", "-m", "experiment=other", "attack.taken_from=one", tiny=ELSEWHERE)
    told = json.loads((project.folder / "elsewhere" / "run" / "attack" / "quantize" / "run.json").read_text())
    assert told["taken_from"] == "results/one/attack/quantize"
