"""Container files: the same steps in both, and those steps, as they stand, make an environment that computes.

Images are not built here: that wants a registry of base images. The steps that install Debian's packages are left out.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, TINY

CONTAINERFILE = (ROOT / "Containerfile").read_text()
DEFINITION = (ROOT / "clever.def").read_text()


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Containerfile."""
    return re.findall(rf"^{name} (.*)", CONTAINERFILE, re.MULTILINE)


def part(name: str) -> list[str]:
    """The lines of a section of the definition."""
    (found,) = re.findall(rf"^%{name}\n((?:    .*\n)+)", DEFINITION, re.MULTILINE)
    return [line.strip() for line in found.splitlines()]


def test_both_start_from_the_same_image_and_take_the_same_steps() -> None:
    assert instructions("FROM") == re.findall(r"^From: (.*)", DEFINITION, re.MULTILINE)
    assert instructions("ARG") == part("arguments")
    steps = [line for line in part("post") if not line.startswith("cd ")]
    assert [step.replace("{{ TORCH }}", "$TORCH") for step in steps] == instructions("RUN")


def test_no_address_of_a_registry_stands_in_them() -> None:
    (base,) = instructions("FROM")
    assert re.fullmatch(r"[a-z]+:[\w.-]+", base)
    assert "://" not in CONTAINERFILE + DEFINITION


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip(f"no {program}: make environment installs it")
    shown = subprocess.run([program, ROOT / "Containerfile"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout


def test_what_the_definition_copies_is_all_that_its_steps_read() -> None:
    copied = [line.split() for line in part("files")]
    assert all(target == f"/clever/{source}" for source, target in copied)
    assert all((ROOT / source).exists() for source, _ in copied)
    needed = {"Makefile", "constraints.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "src", "conf"}
    assert needed <= {source for source, _ in copied}


@pytest.mark.skipif("CI" not in os.environ, reason="installs an environment, minutes: set CI=true to try it")
def test_the_steps_work_in_an_empty_environment(tmp_path: Path) -> None:
    """With the files that the definition copies and nothing of this process but where packages come from."""
    home, root = tmp_path / "home", tmp_path / "clever"
    home.mkdir()
    for source, _ in (line.split() for line in part("files")):
        target = root / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "tmp", "cache")
            shutil.copytree(ROOT / source, target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, target)
    # Torch without CUDA lies in an index of its own, which is not always reachable: constraints.txt's is taken.
    kept = [name for name in os.environ if name.startswith(("UV_", "PIP_", "SSL_")) or name.lower().endswith("_proxy")]
    fresh = {name: os.environ[name] for name in kept} | {"HOME": str(home), "PATH": os.defpath, "TORCH": ""}
    fresh["UV_CACHE_DIR"] = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    base = Path(sys.base_prefix) / "bin"  # the image's python
    fresh["PATH"] = f"{base}{os.pathsep}{fresh['PATH']}"

    def run(step: str) -> str:
        shown = subprocess.run(["sh", "-c", step], cwd=root, env=fresh, capture_output=True, text=True, timeout=1200)
        assert shown.returncode == 0, f"{step}\n{shown.stdout}\n{shown.stderr}"
        return shown.stdout

    for step in instructions("RUN"):
        if not step.startswith("apt-get"):
            run(step)
    assert not (root / ".venv/bin/mypy").exists()  # the extra dev is not in it
    fresh["PATH"] = f"{root / '.venv/bin'}{os.pathsep}{fresh['PATH']}"
    for stage in ("prepare", "model", "score"):
        run(f"python -m pipeline.{stage} {shlex.join(TINY.split())} results_dir=results threads=1")
    assert (root / "results" / "scores.csv").exists()
