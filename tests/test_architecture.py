"""Dependencies point one way, and the library stays what it promises to be."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
ALLOWED = {"clever", "torch", "numpy", "scipy", "jaxtyping", "PIL", "tqdm"}
TYPES = {
    "scores.py": {"pandas", "matplotlib"},
    "distances.py": {"pandas", "matplotlib"},
    "plots.py": {"matplotlib"},
}
"""What the library names in types alone, and imports when it is asked for what needs it (tests/test_api.py)."""
FILES = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
FLOW = ("prepare", "model", "score", "attack", "aggregate", "figures", "report")
BESIDE = {"plan": {"attack"}, "state": {"attack", "score"}, "publish": {"model"}, "verify": set()}
"""The programs that are no stages of `dvc repro`, and whose code they run: one plans, reads or trains as that does."""


def imported(path: Path) -> set[str]:
    """The names of all modules, and of what is taken from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", sorted(SOURCE.glob("clever/**/*.py")), ids=lambda path: path.name)
def test_the_library_knows_nothing_of_the_pipeline(path: Path) -> None:
    assert tops(path) - set(sys.stdlib_module_names) <= ALLOWED | TYPES.get(path.name, set())
    assert ("pathlib" in tops(path)) == (path.name == "files.py")
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "open", "eval", "exec"}


def test_no_module_imports_in_a_circle() -> None:
    uses = {name: imported(path) & FILES.keys() for name, path in FILES.items()}
    done: set[str] = set()
    while ready := {name for name in FILES.keys() - done if uses[name] <= done}:
        done |= ready
    assert done == FILES.keys()


def test_every_folder_of_the_pipeline_is_a_stage_or_named_here() -> None:
    folders = {path.parent.name for path in SOURCE.glob("pipeline/*/__init__.py")}
    assert folders == {*FLOW, *BESIDE, "shared"}
    assert not {path.name for path in SOURCE.glob("pipeline/*.py")} - {"__init__.py"}
    for name in (*FLOW, *BESIDE):
        assert f'launch("{name}")' in FILES[f"pipeline.{name}.__main__"].read_text()
        docstring = ast.get_docstring(ast.parse(FILES[f"pipeline.{name}.__init__"].read_text())) or ""
        assert re.search(r"Files? in: .*\bFiles? out", docstring, re.DOTALL), f"{name}: what goes in and out, in files"


@pytest.mark.parametrize("folder", ["shared", *FLOW, *BESIDE])
def test_stages_know_each_other_only_through_files_and_what_they_share(folder: str) -> None:
    known = {folder, "shared"} | BESIDE.get(folder, set())
    for path in SOURCE.glob(f"pipeline/{folder}/**/*.py"):
        ours = {name.split(".")[1] for name in imported(path) if re.match(r"pipeline\.\w", name)}
        assert ours <= known, f"{path} imports {ours - known}"
        assert "pipeline" not in imported(path), f"{path}: a stage by its name"


def test_settings_reach_a_stage_only_at_its_edge() -> None:
    """`config` is taken apart by a stage's run and by what all share, not passed on into drawings and tables."""
    for folder in (*FLOW, *BESIDE):
        for path in SOURCE.glob(f"pipeline/{folder}/**/*.py"):
            assert path.name == "run.py" or not tops(path) & {"omegaconf", "hydra"}, path


def closure(*modules: str) -> set[Path]:
    """The files that these modules are made of, with all that they import."""
    todo, seen = set(modules), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= (imported(FILES[name]) & FILES.keys()) - seen
    return {FILES[name] for name in seen}


def named_by(group: str) -> set[str]:
    """The pipeline's modules that a group of the configuration names with _target_, but for those of a training."""
    texts = (path.read_text() for path in (ROOT / "conf" / group).rglob("*.yaml"))
    texts = (re.sub(r"^hardening:\n(?: .*\n)*", "", text, flags=re.MULTILINE) for text in texts)
    return {name for text in texts for name in re.findall(r"_target_: (pipeline[\w.]+)\.\w+$", text, re.MULTILINE)}


def described(stage: str) -> dict[str, list[str]]:
    """What dvc.yaml says of a stage."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return stages[stage].get("do", stages[stage])


GROUPS = {"prepare": ["data"], "model": ["model", "weights"], "score": ["model"], "attack": ["model"]}
START = {"app.py", "artifacts.py", "checks.py", "errors.py", "experiment.py", "schema.py", "sweep.py"}
"""How a stage is started, what it refuses and where it writes: they read settings that decide no number."""


@pytest.mark.parametrize("stage", FLOW)
def test_a_stage_depends_on_all_the_code_it_runs(stage: str) -> None:
    """`dvc repro` must run a stage again when any of it changes."""
    known = [ROOT / dependency for dependency in described(stage)["deps"]]
    named = set().union(*(named_by(group) for group in GROUPS.get(stage, [])))
    assert bool(named) == (stage in GROUPS)
    for path in closure(f"pipeline.{stage}.run", *named):
        assert any(one in path.parents for one in known), f"{stage} runs {path}"


@pytest.mark.parametrize("stage", FLOW)
def test_a_stage_depends_on_the_settings_it_reads(stage: str) -> None:
    """Those of params.yaml, and conf, of which all are composed; what it opens else: tests/test_dvc.py."""
    told = described(stage)
    named = {str(name).partition(".")[0] for name in told.get("params", [])}
    files = [path for path in closure(f"pipeline.{stage}.run") if "pipeline" in path.parts]
    texts = [path.read_text() for path in files if path.name not in START]
    read = set(re.findall(r"\bconfig\.(\w+)", "".join(texts)))
    assert read & yaml.safe_load((ROOT / "params.yaml").read_text()).keys() <= named
    assert "conf" in told["deps"]


def test_the_wheel_holds_the_library_alone(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        content_of = {name: content.read(name).decode() for name in names if "entry_points" in name}
    info = {name for name in names if ".dist-info/" in name}
    assert {name.partition("/")[0] for name in set(names) - info} == {"clever"}
    assert {"clever/__init__.py", "clever/api/score.py", "clever/py.typed"} <= set(names)
    (commands,) = (name for name in info if name.endswith("entry_points.txt"))
    assert content_of[commands].split() == ["[console_scripts]", "clever-score", "=", "clever.cli:main"]
