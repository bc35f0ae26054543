"""The report: its claims follow from the numbers; a real browser shows it whole, at a desk, on a phone, on paper."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from clever.errors import InputError
from conftest import ROOT, Project
from pipeline.report.claims import Verdict, claims
from pipeline.report.paper_numbers import beside_ours

CELLS = {"identity": "defense=identity", "quantize": "defense=quantize", "masked": "defense=quantize bpda=false"}
WEAK = ("attack.steps=10", "attack.starts=1", "attack.rounds=0")


@pytest.fixture(scope="module")
def reported(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with three cells through all stages, in a few seconds."""
    project = Project(tmp_path_factory.mktemp("report") / "project")
    shutil.copytree(trained.folder, project.folder)
    params = project.folder / "params.yaml"
    lines = "".join(f"  {name}: {overrides}\n" for name, overrides in CELLS.items())
    params.write_text(params.read_text().split("cells:")[0] + f"cells:\n{lines}")
    for name, overrides in CELLS.items():
        for stage in ("score", "attack"):
            project.stage(stage, *overrides.split(), f"cell={name}", f"results_dir=results/{stage}/{name}", *WEAK)
    for stage in ("aggregate", "figures", "report"):
        project.stage(stage, *WEAK)
    return project


def test_the_report_says_what_was_run_and_what_came_out(reported: Project) -> None:
    page = (reported.folder / "results" / "report.html").read_text()
    for name in CELLS:
        assert f"<td>{name}</td>" in page
    table = pd.read_csv(reported.folder / "results" / "aggregate" / "scores.csv")
    above = pd.read_csv(reported.folder / "results" / "aggregate" / "findings.csv")
    assert len(above) == (table.score > table.distance).sum() > 0
    masked = table.cell == "masked"
    assert f"Without BPDA, {(above.cell == 'masked').sum()} of {masked.sum()}" in page
    straight = above[above.cell != "masked"]
    assert f"{len(straight)} of {(~masked).sum()}" in page
    assert all(name in page for name in straight.id.unique())
    weights = json.loads((reported.folder / "models" / "small_densenet" / "about.json").read_text())
    assert f"{weights['accuracy']:.1%} of 60 images" in page
    assert "Not available: the paper" in page
    assert "certified" not in page.lower()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_the_papers_numbers_stand_beside_ours_where_they_are_supplied(reported: Project) -> None:
    file = reported.folder / "paper.csv"
    file.write_text("cell,norm,target,score\nidentity,L2,top2,0.5\n")
    reported.stage("report", f"paper_numbers={file}")
    page = (reported.folder / "results" / "report.html").read_text()
    assert "Not available: the paper" not in page
    assert "the paper's, as supplied" in page
    summary = pd.read_csv(reported.folder / "results" / "aggregate" / "table.csv")
    (row,) = beside_ours(file, summary).itertuples()
    ours = summary[(summary.cell == "identity") & (summary.norm == "L2") & (summary.target == "top2")]["mean"].item()
    assert row.ratio == pytest.approx(ours / 0.5)
    assert reported.stage("report", "paper_numbers=gone.csv", code=2).stderr.count("there is no such file") == 1
    reported.stage("report")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,norm,score\na,L2,1\n", "lacks the column.s. target"),
        ("cell,norm,target,score\na,L2,top2,high\n", "score 'high' is no positive number"),
        ("cell,norm,target,score\na,L2,top2,-1\n", "is no positive number"),
        ("cell,norm,target,score\nb,L2,top2,1\n", "no score of ours for cell b, norm L2, target top2: the cells are a"),
    ],
)
def test_a_file_of_numbers_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "paper.csv").write_text(text)
    ours = {"cell": ["a"], "norm": ["L2"], "target": ["top2"], "mean": [1.0], "mean_low": [0.5], "mean_high": [2.0]}
    with pytest.raises(InputError, match=message):
        beside_ours(tmp_path / "paper.csv", pd.DataFrame(ours))


def rows(cell: str, scores: list[float], distance: float = 1.0, **change: object) -> pd.DataFrame:
    targets = ["top2", "random", "least"]
    table = [
        {
            "cell": cell,
            "network": "net",
            "id": f"i{index}",
            "predicted": 0,
            "target": targets[index % 3],
            "target_class": 1,
            "norm": "L2",
            "score": score,
            "capped": False,
            "distance": distance,
            "exceeds": score > distance,
        }
        for index, score in enumerate(scores)
    ]
    return pd.DataFrame(table).assign(**change)


def judged(*tables: pd.DataFrame, bpda: tuple[bool, ...], order: tuple[str, ...] = ()) -> dict[str, Verdict]:
    names = [table.cell.iloc[0] for table in tables]
    cells = pd.DataFrame({"cell": names, "network": "net", "bpda": bpda, "order": order or "first_order"})
    return {claim.text.split()[0]: claim.verdict for claim in claims(pd.concat(tables), cells, 0)}


def test_verdicts_follow_the_numbers() -> None:
    plain = rows("identity", [0.2, 0.3, 0.4, 0.2, 0.3, 0.4])
    near = rows("jpeg", [0.2, 0.3, 0.5, 0.2, 0.3, 0.4])
    masked = rows("masked", [3.0] * 6, capped=True)
    good = judged(plain, near, masked, bpda=(True, True, False))
    names = ("With", "Without", "Gradient", "First-order", "The")
    assert [good[name] for name in names[:4]] == [Verdict.HOLDS] * 4
    assert good["Second-order"] == Verdict.UNTESTED

    far = rows("jpeg", [0.6, 0.9, 1.2, 0.6, 0.9, 1.2])
    free = rows("masked", [0.5] * 6)
    bad = judged(plain.assign(exceeds=True), far, free, bpda=(True, True, False))
    assert [bad[name] for name in names[:4]] == [Verdict.FAILS] * 4
    alone = judged(plain, bpda=(True,))
    assert [alone[name] for name in names[:3]] == [Verdict.UNTESTED] * 3


def test_the_order_of_targets_is_judged_by_their_means() -> None:
    def verdict(scores: list[float]) -> Verdict:
        table = rows("identity", scores)
        cells = pd.DataFrame({"cell": ["identity"], "network": "net", "bpda": True, "order": "first_order"})
        return next(claim.verdict for claim in claims(table, cells, 0) if "most likely" in claim.text)

    assert verdict([0.2, 0.3, 0.4]) == Verdict.HOLDS
    assert verdict([0.3, 0.2, 0.4]) == Verdict.FAILS


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A real Chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no browser: install Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for name in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync"):
        options.add_argument(f"--{name}")
    options.add_argument("--disable-background-networking")
    options.add_argument("--disable-component-update")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(params=["made here", "committed"])
def page(request: pytest.FixtureRequest) -> Path:
    folder = ROOT if request.param == "committed" else request.getfixturevalue("reported").folder
    return folder / "results" / "report.html"


def test_a_browser_shows_it_whole_and_asks_nothing_of_a_network(browser, page: Path) -> None:
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")  # what came before
    browser.get(page.as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    assert [url for url in asked if not url.startswith(("data:", page.as_uri()))] == []
    widths = browser.execute_script("return [...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(widths) >= 8
    assert all(width > 300 for width in widths)
    targets = browser.execute_script(
        "return [...document.querySelectorAll('a')].map(a => !!document.getElementById(a.hash.slice(1)))"
    )
    assert targets
    assert all(targets)
    assert all(browser.execute_script("return [...document.images].map(image => image.alt.length > 10)"))


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_a_phone_and_a_desk(browser, page: Path, width: int) -> None:
    shape = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return window.innerWidth") == width
    sizes = "[...document.querySelectorAll('p, li, td')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    small = browser.execute_script(f"return Math.min(...{sizes})")
    assert small >= 12
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_prints(browser, page: Path) -> None:
    browser.get(page.as_uri())
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 4
