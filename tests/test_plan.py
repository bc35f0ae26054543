"""The plan of a run: what it says is what the run does."""

import json
import re

from conftest import ROOT, Project
from test_pipeline import TWO, cells


def rows(shown: str) -> dict[str, dict[str, str]]:
    header, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines() if line.startswith("|")
    ]
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_a_plan_counts_what_the_run_computes(project: Project) -> None:
    cells(project, TWO + "  second: model=mlp_tanh norms=[L2] order=second_order\n")
    shown = project.stage("plan").stdout
    table = rows(shown)
    assert list(table) == ["identity", "quantize_no_bpda", "second"]
    for cell, defense in (("identity", "identity"), ("quantize_no_bpda", "quantize")):
        project.stage("score", f"defense={defense}", f"results_dir={cell}", f"bpda={str(cell == 'identity').lower()}")
        run = json.loads((project.folder / cell / "run.json").read_text())
        planned = number(table[cell]["gradients"])
        # All images are planned for, those misclassified are left out.
        assert planned == run["points_computed"] * (run["scored"] + run["left_out_misclassified"]) / run["scored"]
        assert number(table[cell]["gradients/s"]) > 0
    total = sum(number(row["gradients"]) for row in table.values())
    assert f"gradients: {total:,.0f}" in shown
    assert re.search(r"time: [\d.]+ (seconds|minutes) for scores, [\d.]+ (seconds|minutes) for attacks", shown)
    assert re.search(r"disk: [\d,]+ MB of store", shown)
    stored = sum(path.stat().st_size for path in (project.folder / "store" / "maxima").rglob("*.npz")) / 1e6
    planned = sum(number(table[cell]["store MB"]) for cell in ("identity", "quantize_no_bpda"))
    assert 0.3 * stored < planned < 3 * stored


def test_a_plan_wants_neither_images_nor_weights(project: Project) -> None:
    cells(project, "  identity: defense=identity\n")
    for path in (project.folder / "data").rglob("*.np*"):
        path.unlink()
    for path in (project.folder / "models").rglob("*.pt"):
        path.unlink()
    shown = project.stage("plan", "data=imagenet", "data.root=nowhere", "data.size=64", "score.n_images=50000").stdout
    assert rows(shown)["identity"]["images"] == "50,000"


def test_the_paper_is_planned_by_the_make_that_runs_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    paper = makefile[makefile.index("paper:") :]
    assert "DRY_RUN" in paper
    assert paper.count("$(PAPER)") == 2  # one set of overrides for the plan and for the run
