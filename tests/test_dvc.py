"""dvc.yaml names every file that a stage opens, so that `dvc repro` runs it again when one changes."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from conftest import ROOT, Project, composed
from test_architecture import FLOW, described

NAME = "defenses"
"""An experiment of dvc.yaml, written anew for the test."""
BESIDE = ("params.yaml", "store")
"""What a stage reads, and DVC knows by other means: the settings named in ``params``, and what any run may keep."""
OPENED: set[Path] = set()
LISTENING: list[bool] = []


def _hear(event: str, args: tuple[object, ...]) -> None:
    if LISTENING and event == "open" and isinstance(args[0], str | Path) and not int(str(args[2])) & os.O_ACCMODE:
        OPENED.add(Path(args[0]).absolute())


sys.addaudithook(_hear)


@contextlib.contextmanager
def listened(folder: Path) -> Iterator[set[Path]]:
    """The files of the folder that are opened to be read while it is entered, by their paths in it."""
    found: set[Path] = set()
    OPENED.clear()
    LISTENING.append(True)
    try:
        yield found
    finally:
        LISTENING.clear()
        found |= {path.relative_to(folder) for path in OPENED if folder in path.parents}


@pytest.fixture(scope="module")
def opened(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Path]]:
    """What each stage opens, of an experiment that has all from another one's file, and a published table."""
    project = Project(tmp_path_factory.mktemp("dvc") / "project")
    shutil.copytree(trained.folder, project.folder)
    project.experiment("general", settings="bpda: true\nnorms: [L2]", defense="identity,quantize")
    own = project.folder / "conf" / "experiment" / f"{NAME}.yaml"
    numbers = Path("data") / "published" / "paper.csv"
    own.write_text(f"# @package _global_\ndefaults:\n  - general\npublished: {numbers}\n")
    (project.folder / numbers).write_text("network,norm,target,clever\nquantize,L2,top2,0.5\n")
    project.set(experiments__reported=[NAME])
    found = {}
    for stage in FLOW:
        chosen = {"prepare": ["data=digits"], "report": []}.get(stage, [f"experiment={NAME}"])
        several = ["-m"] if f"pipeline.{stage} -m" in described(stage)["cmd"] else []
        with listened(project.folder) as found[stage]:
            project.stage(stage, *several, *chosen, tiny="")
    assert numbers in found["aggregate"]
    return found


@pytest.mark.parametrize("stage", FLOW)
def test_a_stage_opens_no_file_that_dvc_does_not_know_of(stage: str, opened: dict[str, set[Path]]) -> None:
    told = described(stage)
    named = [next(iter(one)) if isinstance(one, dict) else one for one in told["deps"] + told["outs"]]
    known = {Path(name.replace("${item}", "digits" if stage == "prepare" else NAME)) for name in [*named, *BESIDE]}
    assert Path("conf/config.yaml") in opened[stage]
    unknown = {str(path) for path in opened[stage] if not known & {path, *path.parents}}
    assert not unknown


def test_no_experiment_that_dvc_computes_takes_the_distances_of_another_one() -> None:
    """The stage attack would depend on that one's results, too."""
    for name in OmegaConf.load(ROOT / "params.yaml").experiments.computed:
        assert composed(f"experiment={name}").attack.taken_from is None, name
