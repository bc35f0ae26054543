"""CONTRIBUTING.md: its recipes work exactly as written; licence, citation, changelog and package agree."""

import contextlib
import hashlib
import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

import clever
from clever.attacks.descent import pixelwise
from conftest import ROOT, TINY, Project

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
DEFENSE = "src/clever/defenses/log_levels.py"
NEW_FILES = {
    "Add a defense": {DEFENSE},
    "Add an estimator": {"src/clever/extreme_value/robson_whitlock.py"},
    "Add a figure": {"src/pipeline/figures/tightness.py"},
    "Add a column to a table": set(),
}
"""The recipes that may change three other files at most, and what they are about."""
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the licence as the foundation publishes it."""


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return text


def files(text: str) -> list[tuple[str, str, str]]:
    """The blocks of a recipe that have a title: language, file, content."""
    return re.findall(r'^```(\w+) title="(.+?)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def follow(project: Project, text: str) -> list[str]:
    """Writes the files of a recipe and applies its diffs; returns its commands."""
    for kind, name, content in files(text):
        path = project.folder / name
        assert path.exists() == (kind == "diff"), f"{name}: a diff needs an existing file, any other block a new one"
        path.write_text(apply_diff(path.read_text(), content) if kind == "diff" else content)
    return re.findall(r"^ {4}(python .*)", text, re.MULTILINE)


def apply_diff(text: str, diff: str) -> str:
    """Inserts each line that begins with a plus after the line that precedes it in the diff."""
    before = ""
    for line in diff.splitlines(keepends=True):
        sign, line = line[0], line[1:]
        if sign == "+":
            text = text.replace(before, before + line, 1)
            before += line
        else:
            before = line
            assert text.count(f"\n{line}") == 1, line
    return text


def run(project: Project, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(project.folder / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    project.run(*shlex.split(command), *TINY.split())


def tables(project: Project, name: str) -> pd.DataFrame:
    """All tables of this name that a multirun wrote; ``run`` is the index of the cell."""
    paths = sorted(project.folder.glob(f"multirun/**/{name}"))
    return pd.concat(pd.read_csv(path).assign(run=at) for at, path in enumerate(paths))


def test_the_recipe_of_a_defense(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = follow(project, section("Add a defense"))
    for command in commands:
        run(project, command, monkeypatch)
    scores = tables(project, "scores.csv")
    runs = [rows.score.reset_index(drop=True) for _, rows in scores.groupby("run")]
    assert scores.groupby("run").order.first().tolist() == ["first_order", "gauge"] * 2 + ["first_order"]
    assert all(len(run) == len(runs[0]) > 0 for run in runs)
    assert not any(run.equals(before) for at, run in enumerate(runs) for before in runs[:at])
    assert scores.score.between(0, float("inf"), inclusive="left").all()
    distances = tables(project, "distances.csv")
    assert len(distances) == len(runs[0])
    assert distances.distance.between(0, 20).mean() > 0.2  # found by a few steps
    exported = "import clever; assert 'LogLevels' in clever.__all__; clever.LogLevels(levels=3)"
    project.run("python", "-c", exported)


def test_the_defense_of_the_recipe_has_correct_steps() -> None:
    module: dict[str, object] = {}
    exec({name: content for _, name, content in files(TEXT)}[DEFENSE], module)
    defense = module["LogLevels"](levels=5)  # type: ignore[operator]
    steps = defense.steps()
    pixels = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = steps.levels[torch.bucketize(pixels, steps.boundaries)]
    torch.testing.assert_close(defense(pixels.view(1, 1, 1, -1)).flatten(), expected)
    assert pixelwise(defense) == clever.Chain([defense])
    smooth = clever.Smooth(defense, 0.0)(pixels)
    torch.testing.assert_close(smooth, pixels)
    torch.testing.assert_close(clever.Smooth(defense)(steps.levels), steps.levels)


def test_the_recipe_of_an_estimator(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = section("Add an estimator")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    with contextlib.chdir(project.folder):
        exec(block, {"my_network": smooth, "images": torch.rand(2, 3, 4, 4)})
    pairs = [tuple(map(float, line.split())) for line in capsys.readouterr().out.splitlines()]
    assert len(pairs) == 2
    assert all(own == pytest.approx(score, rel=0.2) for score, own in pairs)
    (command,) = follow(project, text)
    run(project, command, monkeypatch)
    own, maximum = (np.sort(np.load(path)) for path in sorted(project.folder.glob("multirun/**/maxima.npy")))
    scores = tables(project, "scores.csv")
    assert np.array_equal(own, maximum)
    by_own, by_maximum = (rows.end_point for _, rows in scores.groupby("run"))
    assert scores.end_point_estimator.unique().tolist() == ["robson_whitlock", "maximum"]
    assert by_own.to_numpy() == pytest.approx(2 * own[:, -1] - own[:, -2], rel=1e-6)
    assert by_maximum.to_numpy() == pytest.approx(own[:, -1], rel=1e-6)


@pytest.fixture(scope="module")
def attacked(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose experiment ``defenses`` is two cells, with all stages run up to the attack."""
    project = Project(tmp_path_factory.mktemp("attacked") / "project")
    shutil.copytree(trained.folder, project.folder)
    project.experiment("defenses", defense="identity,quantize")
    project.stage("model", "experiment=defenses")
    for stage in ("score", "attack"):
        project.stage(stage, "-m", "experiment=defenses")
    project.stage("aggregate", "experiment=defenses")
    return project


def test_the_recipe_of_a_figure(attacked: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(attacked.folder, project.folder)
    commands = follow(project, section("Add a figure"))
    for command in commands:
        run(project, command, monkeypatch)
    folder = project.folder / "results/defenses"
    assert (folder / "figures/tightness.pdf").read_bytes().startswith(b"%PDF")
    assert np.ptp(np.asarray(Image.open(folder / "figures/tightness.png").convert("L"))) > 100
    captions = json.loads((folder / "figures/captions.json").read_text())
    assert "adversarial distance" in captions["tightness"]
    assert list(captions).index("tightness") == list(captions).index("scores") + 1
    page = (folder / "report.html").read_text()
    assert 'id="defenses-tightness"' in page
    assert captions["tightness"] in page


def test_the_recipe_of_a_column(attacked: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(attacked.folder, project.folder)
    (command,) = follow(project, section("Add a column to a table"))
    run(project, command, monkeypatch)
    folder = project.folder / "results/defenses/tables"
    scores, summary = (pd.read_csv(folder / f"{name}.csv") for name in ("scores", "summary"))
    largest = scores.groupby(["cell", "norm", "target"], sort=False).score.max()
    assert len(summary) == len(largest) == 2 * 3 * 2
    assert summary.maximum.to_numpy() == pytest.approx(largest.to_numpy(), rel=1e-5)
    assert (summary.maximum > summary.minimum).any()
    printed = (folder / "tables.md").read_text()
    header = r"^\| cell .*\| minimum +\| maximum +\|"
    assert len(re.findall(header, printed, re.MULTILINE)) == 3  # a table for each norm
    limits = "from pipeline.verify.limits import TABLES; assert TABLES['summary'][1]['maximum'].largest == 0.05"
    project.run("python", "-c", limits)


@pytest.mark.parametrize("title", NEW_FILES)
def test_a_recipe_touches_three_files_at_most(title: str) -> None:
    text = section(title)
    (sentence,) = re.findall(r"^Files besides the new one and its tests: (.*)\.$", text, re.MULTILINE)
    touched, titles = re.findall(r"`([^`]+)`", sentence), {name for _, name, _ in files(text)}
    new = {name for kind, name, _ in files(text) if kind != "diff"}
    assert 1 <= len(touched) == len(set(touched)) <= 3
    assert NEW_FILES[title] <= titles
    assert titles - NEW_FILES[title] <= set(touched)
    assert all((ROOT / name).is_file() for name in set(touched) - new)


def test_the_recipe_of_an_experiment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = follow(project, section("Add an experiment"))
    project.stage("model", "experiment=jpeg_quality")  # make experiment runs it, too
    run(project, command, monkeypatch)
    cells = sorted(path.name for path in (project.folder / "results/jpeg_quality/score").iterdir() if path.is_dir())
    assert len(cells) == 2
    assert "75" in cells[-1]


def test_licence_citation_changelog_and_package_say_the_same() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert package["license"] == citation["license"] == "Apache-2.0"
    assert package["version"] == citation["version"]
    assert f"## [{package['version']}]" in (ROOT / "CHANGELOG.md").read_text()
    paper = citation["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == [
        *("Weng", "Zhang", "Chen", "Lozano", "Hsieh", "Daniel")
    ]
    assert "arXiv:1810.08640" in [identifier["value"] for identifier in paper["identifiers"]]
    assert set(package["license-files"]) <= {path.name for path in ROOT.iterdir()}
