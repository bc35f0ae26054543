"""README, guide and docs: what they tell a reader to type works, and what they point to is in the repository.

What a file holds, prose, numbers or tables, is never compared with what happens to lie in the working tree: these tests
pass before `make repro`, after it, and after anything else that was run (the last test says so).
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from torch import nn

from conftest import ROOT

PAGES = {name: ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
PAGES |= {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.glob("docs/*.md"))}
TEXTS = {name: path.read_text() for name, path in PAGES.items()}
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|.*<\w+>.*|\.\.\.")
"""What a reader puts something else for: NAME, <experiment>, an ellipsis."""
FENCED = re.compile(r'^```\w*(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """The indented and the fenced code of a page."""
    indented = re.findall(r"(?:(?<=\n\n)|^)((?: {4}.*\n+)+)", text)
    # Blocks with a title are files; tests/test_contributing.py writes and uses them.
    fenced = [block for title, block in FENCED.findall(text) if not title]
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in indented] + fenced


def spans(text: str) -> list[str]:
    """The code within its sentences."""
    prose = re.sub(r"^(```.*?^```| {4}.*?)$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def is_python(block: str) -> bool:
    return block.startswith(("import ", "from "))


def commands(text: str) -> Iterator[list[str]]:
    """Every command of a page as its words, comments left out and variables of the shell put in."""
    for block in [*blocks(text), *spans(text)]:
        known: dict[str, str] = {}
        for line in [] if is_python(block) else block.splitlines():
            line = re.sub(r"\s{2,}[#(].*", "", re.sub(r"\$\([^)]*\)", "x", line))
            if given := re.fullmatch(r'(\w+)="(.*)"', line.strip()):
                known[given[1]] = given[2]
                continue
            for name, value in known.items():
                line = line.replace(f"${name}", value)
            for part in re.split(r"&&|;|\|", line):
                with contextlib.suppress(ValueError):  # a quotation mark alone: prose
                    words = shlex.split(part, comments=True)
                    if words[:1] and words[0] in ("make", "dvc", "python"):
                        yield words


COMMANDS = sorted({shlex.join(words) for text in TEXTS.values() for words in commands(text) if len(words) > 1})
MADE = {Path(title).stem for text in TEXTS.values() for title, _ in FENCED.findall(text) if title}
"""What files of a reader's own, shown in the guide, add to the groups of the configuration; commands that name it are
run by tests/test_contributing.py."""
LINKS = sorted({(page, link) for page, text in TEXTS.items() for link in re.findall(r"\]\(([^)\s]+)\)", text)})


def of(*start: str) -> list[str]:
    """The commands that begin so."""
    return [command for command in COMMANDS if command.startswith(start)]


def git_files() -> set[str]:
    """What is in git, files and folders."""
    shown = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if shown.returncode:
        pytest.skip(f"no git repository to ask: {shown.stderr.strip()}")
    files = {Path(name) for name in shown.stdout.split("\0") if name}
    return {path.as_posix() for file in files for path in (file, *file.parents)}


def compose_here(*overrides: str) -> None:
    """Raises for a group, choice or setting that does not exist, Hydra's own included."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"), contextlib.chdir(ROOT):
        compose("config", overrides=list(overrides), return_hydra_config=True)


def test_there_are_commands_links_and_blocks_to_look_at() -> None:
    assert {"make repro", "make test", "make verify"} <= set(COMMANDS)
    assert len(of("python -m pipeline.")) > 5
    assert len(of("dvc ")) > 2
    assert len(LINKS) > 5
    assert any(map(is_python, blocks(TEXTS["README.md"])))


@pytest.mark.parametrize("command", of("make "))
def test_make_knows_the_target_and_its_variables(command: str) -> None:
    words = shlex.split(command)[1:]
    variables = [word.partition("=")[0] for word in words if "=" in word]
    makefile = (ROOT / "Makefile").read_text()
    for name in variables:
        assert re.search(rf"\$\({name}\)|ifdef {name}\b", makefile), f"the Makefile does not ask for {name}"
    # --dry-run still evaluates conditions and follows the targets; nothing is run.
    shown = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("command", [c for c in of("python -m pipeline.") if not MADE & {*re.split(r"[ =,]", c)}])
def test_a_stage_exists_and_its_settings_compose(command: str) -> None:
    module, *words = shlex.split(command)[2:]
    assert find_spec(f"{module}.__main__"), f"there is no {module}"
    options = {"-m", "--help", "--version", "--cfg", "-p"}
    assert {word for word in words if word.startswith("-")} <= options
    settings = [word for word in words if "=" in word]
    made: list[list[str]] = [[]]
    for override in OverridesParser.create().parse_overrides(settings):
        key, _, text = str(override.input_line).partition("=")
        if PLACEHOLDER.fullmatch(text):
            continue
        values = [text]
        if override.is_sweep_override():
            assert "-m" in words, f"{override.input_line} is a sweep and wants -m"
            values = list(override.sweep_string_iterator())
        # Each value of a sweep beside the first values of the others: all of them are looked at, not all their pairs.
        made = [*([*so_far, f"{key}={values[0]}"] for so_far in made), *([*made[0], f"{key}={v}"] for v in values[1:3])]
    for overrides in made:
        compose_here(*overrides)


@pytest.mark.parametrize("command", of("dvc "))
def test_dvc_knows_the_command_the_stage_and_the_setting(command: str) -> None:
    from dvc.cli.parser import get_main_parser

    arguments = get_main_parser().parse_args(shlex.split(command)[1:])
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = OmegaConf.load(ROOT / "params.yaml")
    for target in getattr(arguments, "targets", None) or []:
        assert target.partition("@")[0] in stages
    for setting in getattr(arguments, "set_param", None) or []:
        assert OmegaConf.select(params, setting.partition("=")[0]) is not None, f"params.yaml has no {setting}"


@pytest.mark.parametrize("command", of("python benchmarks/"))
def test_a_benchmark_exists_and_has_its_options(command: str) -> None:
    script, *words = shlex.split(command)[1:]
    assert script in git_files()
    if options := [word for word in words if word.startswith("--")]:
        shown = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert all(option in shown.stdout for option in options)


@pytest.mark.parametrize("page", PAGES)
def test_settings_within_sentences_exist(page: str) -> None:
    """`order=second_order` names a file of its group, `sampling.n_batches=100` a setting of some choice of groups."""
    groups = {path.parent.relative_to(ROOT / "conf").as_posix() for path in ROOT.glob("conf/*/**/*.yaml")}
    texts = "".join(path.read_text() for path in [*ROOT.glob("conf/**/*.yaml"), ROOT / "params.yaml"])
    for span in spans(TEXTS[page]):
        for key, value in re.findall(r"(?<![\w.(-])([a-z][\w./]*)=([\w./-]+)(?![\w(])", span):
            if PLACEHOLDER.fullmatch(value) or "(" in span:
                continue
            if key in groups:
                compose_here(f"{key}={value}")
            else:
                leaf = re.escape(key.rpartition(".")[2])
                assert re.search(rf"\b{leaf}:", texts), f"{page}: no setting is called {key}"


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
@pytest.mark.parametrize("page", PAGES)
def test_python_runs(page: str, tmp_path: Path) -> None:
    """With a network and images of the reader's own."""
    own = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10)).eval()
    known = {"my_network": own, "images": torch.rand(2, 3, 16, 16), "labels": torch.tensor([1, 2])}
    for block in filter(is_python, blocks(TEXTS[page])):
        with contextlib.chdir(tmp_path):
            exec(compile(block, page, "exec"), dict(known))


@pytest.mark.parametrize(("page", "link"), [pair for pair in LINKS if "://" not in pair[1]])
def test_what_is_linked_is_in_git(page: str, link: str) -> None:
    path, _, place = link.partition("#")
    target = os.path.normpath(Path(page).parent / path) if path else page
    assert target in git_files()
    if place:
        titles = re.findall(r"^#+ (.*)$", TEXTS[target], re.MULTILINE)
        assert place in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("page", PAGES)
def test_files_named_within_sentences_are_in_git(page: str) -> None:
    there = git_files() | {title for title, _ in FENCED.findall(TEXTS[page])}  # or written by a recipe of the page
    for span in spans(TEXTS[page]):
        for name in re.findall(r"^(?:benchmarks|conf|docs|src|tests|data/weights)/[\w./-]+$", span):
            assert name.rstrip("/") in there, f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_the_words_that_a_score_does_not_earn_are_not_used(page: str) -> None:
    assert "certified" not in TEXTS[page].lower()
    assert "estimate" in TEXTS["README.md"]


def test_these_tests_pass_whatever_lies_in_results(tmp_path: Path) -> None:
    """In a copy of what is in git, every file of results/ overwritten: as after a run with other settings."""
    names = [name for name in git_files() if (ROOT / name).is_file()]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for command in (["init", "--quiet"], ["add", "--all", "--force"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    for path in (tmp_path / "results").rglob("*"):
        if path.is_file():
            path.write_bytes(b"of another run\n")
    # Those that read what the pages say and what is there; the others are about programs.
    chosen = "link or named or words or settings or python_runs or commands_links"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_readme.py", "-k", chosen]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200)
    assert shown.returncode == 0, shown.stdout
    assert re.search(r"\d+ passed", shown.stdout)
    assert "skipped" not in shown.stdout
