"""CONTRIBUTING.md: its recipes work as they stand there; licence, citation, changelog and package agree."""

import contextlib
import hashlib
import re
import shlex
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from conftest import ROOT, TINY, Project

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""Of the text as the foundation publishes it."""


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return found


def written(project: Project, text: str) -> list[str]:
    """Writes the files that a recipe names; its commands with a small network's settings."""
    for name, content in re.findall(r'^```\w+ title="(.+?)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL):
        (project.folder / name).write_text(content)
    return re.findall(r"^ {4}(python .*)", text, re.MULTILINE)


def run(project: Project, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(project.folder / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    project.run(*shlex.split(command), *TINY.split())


def test_the_recipe_of_a_defense(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = written(project, section("Add a defense"))
    run(project, command, monkeypatch)
    undefended, coarse = (pd.read_csv(path).score for path in sorted(project.folder.glob("multirun/**/scores.csv")))
    assert len(undefended) == len(coarse) > 0
    assert not undefended.equals(coarse)
    known: dict[str, object] = {}
    exec((project.folder / "src/clever/downscale.py").read_text(), known)
    images = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    coarse = known["Downscale"]()(images)  # type: ignore[operator]
    for row, column in ((2, 4), (3, 5)):
        torch.testing.assert_close(coarse[:, :, row, column], images[:, :, 2:4, 4:6].mean((2, 3)))


def test_the_recipe_of_an_estimator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", section("Add an estimator"), re.MULTILINE | re.DOTALL)
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    with contextlib.chdir(tmp_path):
        exec(block, {"my_network": smooth, "images": torch.rand(2, 3, 4, 4)})
    pairs = [tuple(map(float, line.split())) for line in capsys.readouterr().out.splitlines()]
    assert len(pairs) == 2
    assert all(own == pytest.approx(score, rel=0.2) for score, own in pairs)


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
