"""How settings stand in records and keys: without the paths of the project's modules."""

import re
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pipeline.shared.models.classifier import ORIGIN_SETTINGS
from pipeline.shared.text.recorded import group_to_record, to_record

ROOT = Path(__file__).parents[1]


def test_own_classes_are_named_and_others_keep_their_path() -> None:
    own = {"_target_": "clever.defenses.quantization.BitDepth", "bits": 3}
    other = {"_target_": "torchvision.models.get_model", "name": "densenet121"}
    settings = OmegaConf.create({"_target_": "clever.Chain", "transformations": [own, other], "seed": None})
    named = [{"class": "BitDepth", "bits": 3}, {"class": "torchvision.models.get_model", "name": "densenet121"}]
    assert to_record(settings) == {"class": "Chain", "transformations": named, "seed": None}
    assert to_record({"_target_": "clever_things.transforms.BitDepth"}) == {
        "class": "clever_things.transforms.BitDepth"
    }


def test_settings_may_be_missing_and_left_out() -> None:
    group = OmegaConf.create({"_target_": "pipeline.model.given.File", "path": "${nowhere}", "sha256": "???"})
    assert group_to_record(group, ORIGIN_SETTINGS) == {"sha256": "???"}
    group.path = "w.pth"
    assert group_to_record(group) == {"class": "File", "path": "w.pth", "sha256": "???"}


@pytest.mark.parametrize("folder", ["results", "data"])
def test_no_committed_record_names_a_module_of_the_project(folder: str) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", f"{folder}/**.json", f"{folder}/**.csv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git repository: there is nothing committed")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert paths
    for path in paths:
        found = re.search(r'_target_|"(clever|pipeline)\.\w+\.\w+"', path.read_text())
        assert found is None, f"{path}: {found}"
