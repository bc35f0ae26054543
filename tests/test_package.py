"""What is built and installed: the library alone, imported without a warning, quickly, without the pipeline."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORBIDDEN = ("dvc", "hydra", "matplotlib", "omegaconf", "pandas", "pipeline", "scipy.stats", "sklearn", "torchvision")
IMPORT = """
import sys, time
import numpy, scipy, torch, torch._functorch.config, jaxtyping, PIL.Image, tqdm.auto
start = time.process_time()
import clever
print(time.process_time() - start, clever.__file__)
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel and source distribution of what the build reads; the former is made of the latter."""
    pytest.importorskip("build")
    project, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", PACKAGE["readme"], *PACKAGE["license-files"]):
        shutil.copy(ROOT / name, project / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", project / "src", ignore=ignored)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(project)]
    shown = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""})
    assert shown.returncode == 0, shown.stdout + shown.stderr
    (wheel,), (source,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, source


def test_the_wheel_holds_the_library_and_its_licence(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = wheel.namelist()
        (described,) = (name for name in names if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(wheel.read(described))
    tops = {name.split("/")[0] for name in names}
    assert tops == {"clever", described.split("/")[0]}
    assert {
        path.relative_to(ROOT / "src/clever").as_posix()
        for path in (ROOT / "src/clever").rglob("*")
        if path.suffix in (".py", ".typed", ".json")
    } == {name.removeprefix("clever/") for name in names if name.startswith("clever/")}
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == PACKAGE["license-files"]
    assert metadata["Version"] == PACKAGE["version"]
    assert built[0].stat().st_size < 200_000


def test_the_source_distribution_can_be_built_from(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"LICENSE", "NOTICE", "README.md", "pyproject.toml", "src/clever/py.typed"} <= names
    assert built[1].stat().st_size < 400_000


def test_it_is_imported_without_warning_in_a_moment_and_alone(built: tuple[Path, Path], tmp_path: Path) -> None:
    """From the wheel's files; the time is the library's own, on the processor, what it needs being there."""
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", IMPORT, *FORBIDDEN]
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    took, imported = shown.stdout.splitlines()
    seconds, place = took.split(maxsplit=1)
    assert Path(place).is_relative_to(tmp_path)
    assert imported == ""
    assert float(seconds) < 1
