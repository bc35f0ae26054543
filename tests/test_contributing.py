"""CONTRIBUTING.md: its recipes work as they stand there; licence, citation, changelog and package agree."""

import contextlib
import hashlib
import re
import shlex
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

import clever
from clever.attacks.descent import pixelwise
from conftest import ROOT, TINY, Project

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
DEFENSE = "src/clever/defenses/log_levels.py"
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""Of the text as the foundation publishes it."""


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return found


def written(project: Project, text: str) -> list[str]:
    """Writes the files that a recipe names, and the lines that it adds to others; its commands."""
    for kind, name, content in re.findall(r'^```(\w+) title="(.+?)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL):
        path = project.folder / name
        assert path.exists() == (kind == "diff"), f"{name}: what is there is changed, and what is not is new"
        path.write_text(changed(path.read_text(), content) if kind == "diff" else content)
    return re.findall(r"^ {4}(python .*)", text, re.MULTILINE)


def changed(text: str, diff: str) -> str:
    """The text with the lines of a diff that begin with a plus, each after the line that stands before it there."""
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
    """All that a multirun wrote under this name, ``run`` telling by which cell."""
    paths = sorted(project.folder.glob(f"multirun/**/{name}"))
    return pd.concat(pd.read_csv(path).assign(run=at) for at, path in enumerate(paths))


def test_the_recipe_of_a_defense(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = written(project, section("Add a defense"))
    for command in commands:
        run(project, command, monkeypatch)
    scores = tables(project, "scores.csv")
    of_run = [rows.score.reset_index(drop=True) for _, rows in scores.groupby("run")]
    assert scores.groupby("run").order.first().tolist() == ["first_order", "gauge"] * 2 + ["first_order"]
    assert all(len(one) == len(of_run[0]) > 0 for one in of_run)
    assert not any(one.equals(other) for at, one in enumerate(of_run) for other in of_run[:at])
    assert scores.score.between(0, float("inf"), inclusive="left").all()
    distances = tables(project, "distances.csv")
    assert len(distances) == len(of_run[0])
    assert distances.distance.between(0, 20).mean() > 0.2  # found by a few steps


def test_the_defense_of_the_recipe_says_its_own_steps() -> None:
    known: dict[str, object] = {}
    exec(dict(re.findall(r'^```\w+ title="(.+?)"\n(.*?)^```', TEXT, re.MULTILINE | re.DOTALL))[DEFENSE], known)
    defense = known["LogLevels"](levels=5)  # type: ignore[operator]
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
    (command,) = written(project, text)
    run(project, command, monkeypatch)
    own, maximum = (np.sort(np.load(path)) for path in sorted(project.folder.glob("multirun/**/maxima.npy")))
    scores = tables(project, "scores.csv")
    assert np.array_equal(own, maximum)
    by_own, by_maximum = (rows.end_point for _, rows in scores.groupby("run"))
    assert scores.end_point_estimator.unique().tolist() == ["robson_whitlock", "maximum"]
    assert by_own.to_numpy() == pytest.approx(2 * own[:, -1] - own[:, -2], rel=1e-6)
    assert by_maximum.to_numpy() == pytest.approx(own[:, -1], rel=1e-6)


def test_the_recipe_of_an_experiment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = written(project, section("Add an experiment"))
    project.stage("model", "experiment=jpeg_quality")  # which the line before it does, too
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
    assert "arXiv:1810.08640" in [one["value"] for one in paper["identifiers"]]
    assert set(package["license-files"]) <= {path.name for path in ROOT.iterdir()}
