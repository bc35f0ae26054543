"""Dependencies point one way, and the library stays what it promises to be."""

import ast
import sys
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parents[1] / "src"
ALLOWED = {"clever", "torch", "numpy", "scipy", "jaxtyping", "PIL", "tqdm"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(SOURCE.glob("clever/*.py")), ids=lambda path: path.name)
def test_the_library_knows_nothing_of_the_pipeline(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imported(path)}
    assert tops - set(sys.stdlib_module_names) <= ALLOWED
    assert "pathlib" not in tops
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "open", "eval", "exec"}


def test_no_module_imports_in_a_circle() -> None:
    modules = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
    uses = {name: imported(path) & modules.keys() for name, path in modules.items()}
    done: set[str] = set()
    while ready := {name for name in modules.keys() - done if uses[name] <= done}:
        done |= ready
    assert done == modules.keys()


def test_settings_reach_the_pipeline_only_at_its_edge() -> None:
    """`config` is taken apart by the stages and what they build on, not passed on into drawings and tables."""
    for path in [*SOURCE.glob("pipeline/plots/*.py"), SOURCE / "pipeline/summary.py", SOURCE / "pipeline/store.py"]:
        assert "omegaconf" not in {name.partition(".")[0] for name in imported(path)}, path


def closure(*modules: str) -> set[Path]:
    """The files that these modules are made of, with all that they import."""
    files = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
    todo, seen = set(modules), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        found = imported(files[name])
        tree = ast.parse(files[name].read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        todo |= (found & files.keys()) - seen
    return {files[name] for name in seen}


TARGETS = {
    "prepare": ["pipeline.prepare.digits", "pipeline.prepare.imagenet_source"],
    "model": ["pipeline.model.weights", "pipeline.shared.networks.densenet", "pipeline.shared.networks.small"],
    "score": ["pipeline.shared.networks.densenet", "pipeline.shared.networks.small"],
    "attack": ["pipeline.shared.networks.densenet", "pipeline.shared.networks.small"],
}
"""Modules that the configuration names with _target_; those of defenses and orders lie in src/clever."""


@pytest.mark.parametrize("stage", ["prepare", "model", "score", "attack", "aggregate", "figures", "report"])
def test_a_stage_depends_on_all_the_code_it_runs(stage: str) -> None:
    """`dvc repro` must run a stage again when any of it changes; how a stage is started (app) decides no number."""
    root = SOURCE.parent
    described = yaml.safe_load((root / "dvc.yaml").read_text())["stages"][stage]
    known = [root / dependency for dependency in described.get("do", described)["deps"]]
    for path in closure(f"pipeline.{stage}", *TARGETS.get(stage, [])):
        small = path.name in ("app.py", "checks.py", "errors.py", "kinds.py")
        assert small or any(path == one or one in path.parents for one in known), f"{stage} runs {path}"
    assert root / "conf" in known
