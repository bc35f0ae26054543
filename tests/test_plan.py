"""The plan of a run: what it says is what the run does."""

import json
import re

import pytest

from conftest import ROOT, Project
from pipeline.plan import run as plan


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that are long enough to have passed, not to be exact."""
    monkeypatch.setattr(plan, "SECONDS", 0.1)


def rows(shown: str) -> dict[str, dict[str, str]]:
    header, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines() if line.startswith("|")
    ]
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_a_plan_counts_what_the_run_computes(project: Project) -> None:
    project.experiment("two", settings="bpda: false\nnorms: [L2]", defense="identity,quantize")
    project.stage("model", "experiment=two")
    shown = project.stage("plan", "experiment=two").stdout
    table = rows(shown)
    assert list(table) == ["identity", "quantize"]
    project.stage("score", "-m", "experiment=two")
    for cell, row in table.items():
        run = json.loads((project.folder / "results" / "two" / "score" / cell / "run.json").read_text())
        # All images are planned for, those misclassified are left out.
        images = run["scored"] + run["left_out_misclassified"]
        assert number(row["gradients"]) == run["points_computed"] * images / run["scored"]
        assert number(row["gradients/s"]) > 0
    total = sum(number(row["gradients"]) for row in table.values())
    assert f"gradients: {total:,.0f}" in shown
    assert re.search(r"time: [\d.]+ (seconds|minutes) for scores, [\d.]+ (seconds|minutes) for attacks", shown)
    assert re.search(r"disk: [\d,]+ MB of store", shown)
    stored = sum(path.stat().st_size for path in (project.folder / "store" / "maxima").rglob("*.npz")) / 1e6
    assert 0.3 * stored < sum(number(row["store MB"]) for row in table.values()) < 3 * stored


def test_a_plan_wants_neither_images_nor_weights_and_knows_the_second_order(project: Project) -> None:
    for path in [*project.folder.rglob("*.np?"), *project.folder.rglob("*.pt")]:
        path.unlink()
    project.experiment("smooth", settings="norms: [L2]", model="mlp_tanh", order="first_order,second_order")
    elsewhere = ("data=imagenet", "data.root=nowhere", "data.size=16", "score.n_images=50000")
    table = rows(project.stage("plan", "experiment=smooth", *elsewhere).stdout)
    first, second = table["mlp_tanh-first_order"], table["mlp_tanh-second_order"]
    assert first["images"] == second["images"] == "50,000"
    assert number(first["gradients/s"]) > number(second["gradients/s"])
    assert rows(project.stage("plan", *elsewhere).stdout)["all"]["images"] == "50,000"


def test_each_stage_of_make_experiment_is_planned_and_run_with_the_same_settings() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lines = re.search(r"\nexperiment: .*?\n((?:\t.*\n|ifdef.*\n|else\n|endif\n)+)", makefile)
    assert lines
    for stage in ("plan", "prepare", "model", "score -m", "attack -m", "aggregate", "figures", "report"):
        assert f"\tpython -m pipeline.{stage} $(RUN)\n" in lines[1]
    assert "experiment EXPERIMENT=imagenet_densenet121" in makefile[makefile.index("\npaper: ") :]
