"""The workflow of hosted CI and the hooks of pre-commit call what the Makefile calls."""

import re
import subprocess
import tomllib

import pytest
import yaml

from conftest import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
JOBS = WORKFLOW["jobs"]
COMMANDS = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
LINT = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[0]


def test_it_makes_everything() -> None:
    assert {f"make {target}" for target in ("lint", "test", "repro", "verify", "docs", "package")} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_makefile_has_the_target(command: str) -> None:
    shown = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


def test_the_tests_run_on_every_version_that_the_package_names() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [found[1] for line in package["classifiers"] if (found := re.search(r"Python :: (3\.\d+)$", line))]
    assert JOBS["test"]["strategy"]["matrix"]["python"] == named
    assert package["requires-python"] == f">={named[0]}"


def test_the_hooks_are_of_make_lint_and_download_nothing() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].removeprefix(".venv/bin/") in LINT, hook["entry"]
