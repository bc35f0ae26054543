"""Moving and documenting the project's code computes nothing again; changing a user's own class does."""

import inspect
import json
import linecache
import re
import sys

import pytest
import torch

import clever
from clever.sampling.balls import Ball
from conftest import ROOT, TINY, Project
from pipeline.model.training import train
from pipeline.shared.models.classifier import sha256_of

FEW = ("defense=quantize", "score.n_images=1", "targets=[top2]", "norms=[L2]")
COMPUTED = {"score": "points", "attack": "attacks"}


def renamed(project: Project, thing: object) -> None:
    """Gives the module that defines a class or function another name, in the project's own copy of the code."""
    module = inspect.getmodule(thing).__name__
    package, _, name = module.rpartition(".")
    path = project.folder.joinpath("src", *module.split(".")).with_suffix(".py")
    path.rename(path.with_name(f"other_{name}.py"))
    for file in [*project.folder.glob("src/**/*.py"), *project.folder.glob("conf/**/*.yaml")]:
        text = re.sub(rf"\b{re.escape(module)}\b", f"{package}.other_{name}", file.read_text())
        imported = rf"^(\s*from {re.escape(package)} import .*)\b{name}\b"
        file.write_text(re.sub(imported, rf"\1other_{name} as {name}", text, flags=re.MULTILINE))


def documented(project: Project, thing: object) -> None:
    """Changes a docstring and adds a comment."""
    path = project.folder.joinpath("src", *inspect.getmodule(thing).__name__.split(".")).with_suffix(".py")
    before = path.read_text()
    path.write_text("# Mended.\n" + before.replace('"""', '"""In other words: ', 1))


def of_copy(project: Project, stage: str, *overrides: str) -> None:
    """Runs the project's own copy of the code."""
    code = f"PYTHONPATH={project.folder / 'src'}"
    project.run("env", code, sys.executable, "-m", f"pipeline.{stage}", *TINY.split(), *overrides)


def computed(project: Project, stage: str, folder: str = "run") -> tuple[int, int]:
    """What a run has computed, and what came from the store."""
    run = json.loads((project.folder / folder / "run.json").read_text())
    return run[f"{COMPUTED[stage]}_computed"], run[f"{COMPUTED[stage]}_from_store"]


def test_renamed_modules_and_changed_docstrings_compute_nothing_again(project: Project) -> None:
    first = {}
    for stage in COMPUTED:
        project.stage(stage, *FEW, "results_dir=run")
        first[stage], found = computed(project, stage)
        assert first[stage] > 0 == found
    for thing in (clever.Quantize, clever.Quilting, clever.FirstOrder, train):
        renamed(project, thing)
    for thing in (Ball, clever.Defended):
        documented(project, thing)
    for stage in COMPUTED:
        of_copy(project, stage, *FEW, "results_dir=again")  # conf names the new modules: only the copy has them
        assert computed(project, stage, "again") == (0, first[stage])


def test_a_renamed_training_trains_nothing_again(project: Project) -> None:
    weights = ("weights=trained", "weights.epochs=1", "model=mlp", "model.network.activation=softplus")
    project.stage("model", *weights)
    before = {path: path.stat().st_mtime_ns for path in project.folder.glob("store/weights/*")}
    content = (project.folder / "models" / "ad_hoc" / "mlp_softplus" / "about.json").read_text()
    assert before
    renamed(project, train)
    documented(project, clever.Normalize)
    of_copy(project, "model", *weights)
    assert {path: path.stat().st_mtime_ns for path in project.folder.glob("store/weights/*")} == before
    assert (project.folder / "models" / "ad_hoc" / "mlp_softplus" / "about.json").read_text() == content


OWN = '''
from dataclasses import dataclass


@dataclass(frozen=True)
class Darker:
    """Makes images darker."""

    share: float = 0.9

    def __call__(self, images):
        return images * self.share  # of the light
'''


def test_a_changed_class_of_a_users_own_is_sampled_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project.folder)

    def points(source: str, *overrides: str) -> int:
        (project.folder / "own_defense.py").write_text(source)
        sys.modules.pop("own_defense", None)
        linecache.clearcache()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        project.stage("score", *FEW[1:], "defense._target_=own_defense.Darker", "results_dir=run", *overrides)
        return computed(project, "score")[0]

    every = points(OWN)
    assert every > 0
    assert points(OWN) == 0
    assert points(OWN.replace("Makes", "This makes").replace("# of the light", "")) == 0
    assert points(OWN.replace("images * self.share", "images * self.share**2")) == every
    assert points(OWN, "+defense.share=0.8") == every
    state = torch.load(ROOT / "data" / "weights" / "small_densenet.pt", weights_only=True)
    next(iter(state.values()))[0] += 1e-3
    torch.save(state, project.folder / "changed.pt")
    weights = ("weights=file", "weights.path=changed.pt", f"weights.sha256={sha256_of(project.folder / 'changed.pt')}")
    project.stage("model", *weights)
    assert points(OWN, *weights) == every
