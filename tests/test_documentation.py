"""What is public is documented; the site has all of it, and a real browser shows it without a network."""

import contextlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

import clever
from clever._internal.choice import Choice
from conftest import ROOT

CHECKS = re.compile(r"raise InputError|raise NotFinite|\b(?:require_int|require_bool|_?check|check_\w+)\(|\.parse\(")
"""What refuses input."""
TAKES_IMAGES = re.compile(r"images: |\bImages\b|\bradius: |channel height width|Settings\(")
"""Whoever takes images or a radius says in which units."""


def members(value: object) -> Iterator[tuple[str, object]]:
    """The functions, methods and properties that a name stands for."""
    if not inspect.isclass(value):
        yield "", value
        return
    for name, member in vars(value).items():
        found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(found) and found.__module__ == value.__module__ and "<string>" not in str(found.__code__):
            yield name, found


def said(value: object) -> str:
    """All docstrings of a name."""
    return "\n".join([value.__doc__ or "", *(member.__doc__ or "" for _, member in members(value))])


def does(value: object) -> str:
    """Its source without them."""
    source = inspect.getsource(value)  # type: ignore[arg-type]
    return re.sub(r'""".*?"""', "", source, flags=re.DOTALL)


@pytest.mark.parametrize("name", clever.__all__)
def test_a_public_name_and_what_belongs_to_it_have_docstrings(name: str) -> None:
    value = getattr(clever, name)
    assert inspect.getsource(value).count('"""') >= 2, f"{name} has no docstring of its own"
    for member, function in members(value):
        assert member.startswith("_") or function.__doc__, f"{name}.{member} has no docstring"


@pytest.mark.parametrize("name", clever.__all__)
def test_docstrings_say_what_is_refused_and_in_which_units_images_are(name: str) -> None:
    value = getattr(clever, name)
    missing = []
    if CHECKS.search(does(value)) and not re.search(r"InputError|NotFinite|refuse", said(value)):
        missing.append("InputError: what is refused")
    if TAKES_IMAGES.search(does(value)) and not re.search(r"\[0,1\]|pixel", said(value)):
        missing.append("units: [0,1] pixels")
    assert not missing, f"{name}: {missing}"


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs/reference.md").read_text()
    explained = re.search(r"^## Strings that choose$.*(?=^## Errors)", text, re.MULTILINE | re.DOTALL)
    assert explained
    public = text.replace(explained[0], "")
    listed = re.findall(r"^::: (clever(?:\.\w+)+)$", public, re.MULTILINE)
    assert sorted(path.rpartition(".")[2] for path in listed) == sorted(clever.__all__)
    choices = re.findall(r"^::: clever\.([\w.]+)\.(\w+)$", explained[0], re.MULTILINE)
    enums = {choice.__name__ for choice in Choice.__subclasses__() if choice.__module__.startswith("clever.")}
    assert enums <= {name for _, name in choices}
    assert all(hasattr(import_module(f"clever.{module}"), name) for module, name in choices)


def lint_commands() -> list[list[str]]:
    """The commands of make lint that look for retired words and phrases."""
    shown = subprocess.run(["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [shlex.split(line) for line in shown.splitlines() if "retired_" in line or "readability" in line]


def retired(file: str) -> tuple[str, str]:
    """The last entry of a list of retired words or phrases that is in force, and what it recommends."""
    lines = (ROOT / "docs" / file).read_text().splitlines()
    return tuple([line for line in lines if "->" in line and not line.startswith("#")][-1].split("->"))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("retired_words.txt", "# {0}"),
        ("retired_words.txt", "{0} = 1"),
        ("retired_phrases.txt", "# Some {0} others."),
        ("retired_phrases.txt", "#: {0}\n    # {1} others."),
        ("retired_phrases.txt", '"some {0} "\n    f"{1} others"'),
    ],
)
def test_make_lint_refuses_retired_words_and_phrases(tmp_path: Path, file: str, text: str) -> None:
    """In a tree with one such file; a phrase may be divided between two lines of comments or parts of a string."""
    entry, better = retired(file)
    text = text.format(*(entry.split(" ", 1) if "{1}" in text else [entry]))
    commands = lint_commands()
    assert len(commands) == 2
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "docs/index.md", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("readability.py", "retired_words.txt", "retired_phrases.txt"):
        shutil.copy(ROOT / "docs" / name, tmp_path / "docs" / name)
    for folder in ("src", "tests", "conf"):
        (tmp_path / folder).mkdir()

    def lint() -> list[subprocess.CompletedProcess[str]]:
        return [subprocess.run(c, cwd=tmp_path, env=environment, capture_output=True, text=True) for c in commands]

    assert [run.returncode for run in lint()] == [0, 0]
    (tmp_path / "src/module.py").write_text(f"{text}\n")
    (failed,) = [run for run in lint() if run.returncode]
    assert f"src/module.py:1: {entry} ==> {better}" in failed.stdout + failed.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` makes it, warnings being errors."""
    if find_spec("mkdocs") is None:
        pytest.skip("no mkdocs: make docs installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return folder


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: path.read_text() for path in site.rglob("*.html") if "results" not in path.name}
    assert len(pages) > 20
    for page, text in pages.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            if re.match(r"https?:|data:|mailto:|javascript:", link) or page.name in ("404.html", "report.html"):
                continue
            path, _, place = link.partition("#")
            target = (page.parent / unquote(path)).resolve() if path and path != "." else page
            assert target.exists(), f"{page.relative_to(site)}: {link}"
            if place and target in pages:
                assert f'id="{unquote(place)}"' in pages[target], f"{page.relative_to(site)}: {link}"


def test_the_notebook_runs_and_its_saved_output_is_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads((ROOT / "docs/notebooks/jpeg_and_bpda.ipynb").read_text())["cells"]
    cells = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert {output["output_type"] for cell in cells for output in cell["outputs"]} == {
        "display_data",
        "execute_result",
        "stream",
    }
    known: dict[str, object] = {}
    with contextlib.chdir(ROOT):
        for cell in cells:
            exec(compile("".join(cell["source"]), "notebook", "exec"), known)
    assert all(score.capped for score in known["without"])  # type: ignore[attr-defined]
    assert not any(score.capped for score in known["with_bpda"])  # type: ignore[attr-defined]
    assert len(known["with_bpda"]) == 4  # type: ignore[arg-type]


def test_the_site_shows_the_notebook(site: Path) -> None:
    text = (site / "notebooks/jpeg_and_bpda.html").read_text()
    assert text.count("<table") == 4
    assert "4 CLEVER scores of 4 images" in text
    for name in re.findall(r'src="(jpeg_and_bpda_\d+\.png)"', text):
        assert (site / "notebooks" / name).stat().st_size > 1000


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    text = (site / "method.html").read_text()
    assert text.count("<math") > 20
    assert "\\frac" not in text
    assert "arithmatex" not in text


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_whole_and_asks_nothing_of_a_network(site: Path, browser, width: int) -> None:
    shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.get("about:blank")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
    browser.get_log("browser"), browser.get_log("performance")  # what came before
    for name in (
        "index",
        "method",
        "reference",
        "settings",
        "speed",
        "results",
        "notebooks/jpeg_and_bpda",
        "repository/CONTRIBUTING",
    ):
        browser.get((site / f"{name}.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, name
        shown = browser.execute_script("return [...document.querySelectorAll('article img')].map(i => i.naturalWidth)")
        assert all(size > 100 for size in shown), name
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(("data:", site.as_uri()))] == []


def test_search_finds_in_pages_opened_as_files(site: Path, browser) -> None:
    shape = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
    browser.get((site / "index.html").as_uri())
    box = browser.find_element("css selector", ".md-search__input")
    box.click()
    box.send_keys("Hessian")
    found: list[str] = []
    until = time.monotonic() + 20
    while not found and time.monotonic() < until:
        time.sleep(0.2)
        found = [
            link.get_attribute("href") for link in browser.find_elements("css selector", ".md-search-result__link")
        ]
    assert any("second-order.html" in link for link in found), found
