"""The report: its claims follow from the numbers; a real browser shows it whole, at a desk, on a phone, on paper."""

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT, TINY, Project
from pipeline.aggregate.claims.claim import Claim
from pipeline.aggregate.claims.judge import claims
from pipeline.report.reported_claim import ReportedClaim
from pipeline.report.section import ExperimentSection
from pipeline.shared.stats.verdicts import Verdict

CELLS = ["identity", "quantize", "quantize-no_bpda"]
SMOOTH = "targets: [least]\nnorms: [L2]"
"""Settings of the experiment on both orders, which take one target and norm."""


@pytest.fixture(scope="module")
def reported(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two experiments through all stages, in a few seconds."""
    project = Project(tmp_path_factory.mktemp("report") / "project")
    shutil.copytree(trained.folder, project.folder)
    project.experiment("few", bpda="true,false", defense="identity,quantize")
    project.experiment("smooth", settings=SMOOTH, model="mlp_tanh", order="first_order,second_order")
    own = TINY.replace("targets=[top2,least] ", "")
    for name, settings in {"few": TINY, "smooth": own}.items():
        project.stage("model", f"experiment={name}", tiny=settings)
        for stage in ("score", "attack"):
            project.stage(stage, "-m", f"experiment={name}", "attack.steps=10", tiny=settings)
        for stage in ("aggregate", "figures"):
            project.stage(stage, f"experiment={name}", tiny=settings)
    project.set(experiments__reported=["few", "smooth"])
    project.stage("report")
    return project


def table(project: Project, name: str, experiment: str = "few") -> pd.DataFrame:
    return pd.read_csv(project.folder / "results" / experiment / "tables" / f"{name}.csv")


def committed(name: str) -> ExperimentSection:
    return ExperimentSection.read(name, ROOT / "results" / name)


def test_the_report_says_what_was_run_and_what_came_out(reported: Project) -> None:
    page = (reported.folder / "results" / "report.html").read_text()
    for name in [*CELLS, "mlp_tanh-first_order", "mlp_tanh-second_order"]:
        assert f"<td>{name}</td>" in page
    assert "identity-no_bpda" not in page  # without a transformation it is the same cell
    scores, above = table(reported, "scores"), table(reported, "findings")
    assert len(above) == (scores.score > scores.distance).sum() > 0
    masked = scores.cell == "quantize-no_bpda"
    assert f"Without BPDA, {(above.cell == 'quantize-no_bpda').sum()} of {masked.sum()}" in page
    straight = above[above.cell != "quantize-no_bpda"]
    assert f"{len(straight)} of {(~masked).sum()}" in page
    assert all(name in page for name in straight.id.unique())
    for network in ("few/small_densenet", "smooth/mlp_tanh"):
        weights = json.loads((reported.folder / "models" / network / "about.json").read_text())
        assert f"{weights['accuracy']:.1%} of 60 images" in page
        assert weights["sha256"][:16] in page
    assert "First and second order" in page
    assert 'id="smooth-orders"' in page
    assert page.count("not available to this project") == 1
    assert "certified" not in page.lower()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_each_experiment_has_its_own_settings_and_verdicts_on_the_page_and_in_the_table(reported: Project) -> None:
    page = (reported.folder / "results" / "report.html").read_text()
    shown = [yaml.safe_load(text) for text in re.findall("<pre>(.*?)</pre>", page, re.DOTALL)]
    assert [of_experiment["attack"]["targets"] for of_experiment in shown] == [["top2", "least"], ["least"]]
    verdicts = pd.read_csv(reported.folder / "results" / "claims.csv")
    assert list(verdicts.experiment.unique()) == ["few", "smooth"]
    for name, of_experiment in verdicts.groupby("experiment"):
        part = page.split(f'<section id="{name}">')[1].split("</section>")[0]
        stated = re.findall(r'<h4>(.*?) <span class="verdict [\w-]+">(.*?)</span>', part)
        expected = of_experiment[["claim", "verdict"]].itertuples(index=False, name=None)
        assert [(html.unescape(text), verdict) for text, verdict in stated] == list(expected)
    tested = verdicts[verdicts.verdict != "not tested"].groupby("experiment").claim.agg(" ".join)
    assert "Second-order" in tested.smooth
    assert "Second-order" not in tested.few


def test_an_experiment_has_a_report_of_its_own(reported: Project) -> None:
    page = reported.folder / "results" / "report.html"
    before = page.read_bytes()
    reported.stage("report", "experiment=smooth")
    own = (reported.folder / "results" / "smooth" / "report.html").read_text()
    assert 'id="smooth"' in own
    assert 'id="few"' not in own
    assert set(pd.read_csv(reported.folder / "results" / "smooth" / "claims.csv").experiment) == {"smooth"}
    assert page.read_bytes() == before


def test_from_tables_and_runs_alone_all_but_the_figures_of_images_is_made(reported: Project, tmp_path: Path) -> None:
    """What an experiment of others publishes: neither images nor maxima, weights nor data."""
    project = Project(tmp_path / "project")
    shutil.copytree(reported.folder, project.folder)
    for folder in ("data/prepared", "models", "store", "results/few/figures", "results/few/tables"):
        shutil.rmtree(project.folder / folder)
    for path in [*project.folder.glob("results/few/*/*/*.np?"), project.folder / "results" / "report.html"]:
        path.unlink()
    project.stage("aggregate", "experiment=few")
    shown = project.stage("figures", "experiment=few").stdout
    assert "left out adversaries, fits, convergence, images, whose input files are missing" in shown
    project.stage("report")
    page = (project.folder / "results" / "report.html").read_text()
    assert 'id="few-sandwich"' in page
    assert 'id="few-fits"' not in page
    assert 'id="smooth-fits"' in page


def test_the_papers_numbers_stand_beside_ours_where_they_are_supplied(reported: Project) -> None:
    file, page = reported.folder / "paper.csv", reported.folder / "results" / "report.html"
    assert page.read_text().count("not available to this project") == 1  # once, whatever the number of experiments
    file.write_text("network,norm,target,clever\nidentity,L2,top2,0.5\nother,L2,top2,0.5\n")
    shown = reported.stage("aggregate", "experiment=few", f"published={file}").stdout
    assert "left out other, which this experiment does not have" in shown
    reported.stage("report")
    assert page.read_text().count("<h3>Published averages compared with ours</h3>") == 1
    summary = table(reported, "summary")
    (row,) = table(reported, "published").itertuples()
    ours = summary[(summary.cell == "identity") & (summary.norm == "L2") & (summary.target == "top2")]["mean"].item()
    assert (row.network, row.quantity, row.published) == ("identity", "clever", 0.5)
    assert row.mean == pytest.approx(ours, rel=1e-5)
    refused = reported.stage("aggregate", "experiment=smooth", f"published={file}", code=2).stderr
    assert "no scores for identity, other, only for mlp_tanh, mlp_tanh-first_order, mlp_tanh-second_order" in refused
    reported.stage("aggregate", "experiment=few")
    (reported.folder / "results" / "few" / "tables" / "published.csv").unlink(missing_ok=True)
    reported.stage("report")


def rows(cell: str, top2: float, *, images: int = 8, distance: float = 1.0, **change: object) -> pd.DataFrame:
    """Scores that differ from image to image by up to a tenth: ``top2``, and more for each other target."""
    table = [
        {
            "cell": cell,
            "network": "net",
            "id": f"i{image}",
            "predicted": 0,
            "target": target,
            "target_class": 1,
            "norm": "L2",
            "score": top2 * share * (1 + 0.1 * image / images),
            "capped": False,
            "distance": distance,
        }
        for image in range(images)
        for target, share in (("top2", 1.0), ("random", 1.5), ("least", 2.0))
    ]
    return pd.DataFrame(table).assign(above_distance=lambda made: made.score > made.distance).assign(**change)


def judged(*tables: pd.DataFrame, bpda: tuple[bool, ...], order: tuple[str, ...] = ()) -> dict[str, Verdict]:
    names = [table.cell.iloc[0] for table in tables]
    cells = pd.DataFrame({"cell": names, "network": "net", "bpda": bpda, "order": order or "first_order"})
    cells["sampling"] = "{}"
    cells = cells.assign(family="net", transformation=["Identity", *names[1:]])
    return {claim.text.split()[0]: claim.verdict for claim in claims(pd.concat(tables), cells, None, 0)}


def test_verdicts_follow_the_numbers() -> None:
    plain, near, masked = rows("identity", 0.2), rows("jpeg", 0.21), rows("masked", 3.0, capped=True)
    good = judged(plain, near, masked, bpda=(True, True, False))
    names = ("With", "Without", "Gradient", "First-order", "The")
    assert [good[name] for name in names[:4]] == [Verdict.HOLDS] * 4
    assert good["Second-order"] == Verdict.UNTESTED

    far, free = rows("jpeg", 0.6), rows("masked", 0.4)
    bad = judged(plain.assign(above_distance=True), far, free, bpda=(True, True, False))
    assert [bad[name] for name in names[:4]] == [Verdict.FAILS] * 4
    alone = judged(plain, bpda=(True,))
    assert [alone[name] for name in names[:3]] == [Verdict.UNTESTED] * 3


@pytest.mark.parametrize("transformations", [("Identity", "Identity"), ("Noise", "Noise (draws 4)")])
def test_without_a_transformation_and_one_there_is_no_ratio_to_the_undefended(transformations: tuple[str]) -> None:
    cells = pd.DataFrame({"cell": ["small", "large"], "network": "net", "family": "net", "bpda": True})
    cells["transformation"] = transformations
    tables = [rows("small", 0.2), rows("large", 0.6)]
    found = claims(pd.concat(tables), cells.assign(order="first_order", sampling="{}"), None, 0)[0]
    assert (found.verdict, found.evidence) == (
        Verdict.UNTESTED,
        ["no undefended cell, or no cell with a defense and BPDA to compare with it"],
    )


def test_images_without_a_common_target_class_are_counted() -> None:
    near = rows("jpeg", 0.21)
    near.loc[near.id == "i0", "target_class"] = 2
    near = near[near.id != "i1"]  # of another class behind the defense
    cells = pd.DataFrame({"cell": ["identity", "jpeg"], "network": "net", "family": "net", "bpda": True})
    cells = cells.assign(transformation=["Identity", "jpeg"], order="first_order", sampling="{}")
    for table, text in ((near, "over 6 images, 2 of 8 left out"), (rows("jpeg", 0.21), "over 8 images")):
        (evidence,) = claims(pd.concat([rows("identity", 0.2), table]), cells, None, 0)[0].evidence
        assert evidence.endswith(text)


def test_few_images_decide_nothing() -> None:
    plain, near, masked = (rows(*of, images=2) for of in (("identity", 0.2), ("jpeg", 0.25), ("masked", 3.0)))
    few = judged(plain, near, masked.assign(capped=True), bpda=(True, True, False))
    assert [few[name] for name in ("With", "Without", "Gradient", "First-order")] == [Verdict.UNDECIDED] * 4


def test_every_open_verdict_says_how_many_images_would_decide() -> None:
    tables = [rows(*of, images=4) for of in (("identity", 0.2), ("jpeg", 0.25), ("masked", 3.0))]
    tables[2]["capped"] = True
    cells = pd.DataFrame({"cell": [table.cell.iloc[0] for table in tables], "network": "net", "family": "net"})
    cells = cells.assign(
        transformation=["Identity", "jpeg", "masked"], bpda=[True, True, False], order="first_order", sampling="{}"
    )
    found = claims(pd.concat(tables), cells, None, 0)
    open_ = [claim for claim in found if claim.verdict is Verdict.UNDECIDED]
    assert len(open_) == 5
    for claim in open_:
        assert re.search(r"undecided: (about|at least) [56] images would decide", "; ".join(claim.evidence)), claim


def test_a_claim_of_every_score_is_refuted_by_one() -> None:
    masked = rows("masked", 3.0, capped=True)
    masked.loc[5, "capped"] = False
    assert judged(rows("identity", 0.2), masked, bpda=(True, False))["Without"] is Verdict.FAILS


def test_what_was_not_attacked_is_not_judged_by_distances() -> None:
    found = judged(rows("identity", 0.2), rows("masked", 3.0, distance=np.nan), bpda=(True, False))
    assert [found["First-order"], found["Gradient"]] == [Verdict.HOLDS, Verdict.UNTESTED]


def test_each_order_is_judged_on_all_its_networks() -> None:
    tables = [rows("good", 0.2), rows("bad", 2.0).assign(network="other")]
    cells = pd.DataFrame(
        {"cell": ["good", "bad"], "network": ["net", "other"], "transformation": "Identity", "bpda": True}
    )
    cells = cells.assign(order="first_order", sampling="{}", family=cells.network)
    (found,) = [claim for claim in claims(pd.concat(tables), cells, None, 0) if claim.text.startswith("First-order")]
    assert found.verdict is Verdict.FAILS
    assert [text.split(",")[0] for text in found.evidence] == ["good", "bad"]
    assert "L2 top-2 8 of 8 [63%, 100%]" in found.evidence[1]


def of_two_networks(ratio: float, least: float) -> dict[str, Claim]:
    """``ratio``: JPEG to undefended, for the scores of the second; ``least``: a factor of its least likely class's."""
    tables = [rows(f"{name}-{kind}", 0.2).assign(network=name) for name in ("one", "two") for kind in ("plain", "jpeg")]
    tables[3]["score"] *= ratio
    far = tables[2].target == "least"
    tables[2].loc[far, "score"] *= least
    cells = pd.DataFrame({"cell": [table.cell.iloc[0] for table in tables], "network": ["one"] * 2 + ["two"] * 2})
    cells = cells.assign(
        family=cells.network, transformation=["Identity", "jpeg"] * 2, bpda=True, order="first_order", sampling="{}"
    )
    return {" ".join(claim.text.split()[:2]): claim for claim in claims(pd.concat(tables), cells, None, 0)}


def test_a_claim_is_judged_network_by_network() -> None:
    good = of_two_networks(ratio=1.0, least=1.0)
    assert [good[name].verdict for name in ("With BPDA,", "The second")] == [Verdict.HOLDS] * 2
    assert [line.split(":")[0] for line in good["With BPDA,"].evidence] == ["one, jpeg, L2", "two, jpeg, L2"]
    assert of_two_networks(ratio=3.0, least=1.0)["With BPDA,"].verdict is Verdict.FAILS
    turned = of_two_networks(ratio=1.0, least=0.1)["The second"]
    assert turned.verdict is Verdict.FAILS
    assert [line.split(":")[0] for line in turned.evidence] == ["one, plain, L2", "two, plain, L2"]
    assert turned.criterion.endswith("; for each network")


def test_the_order_of_targets_is_judged_for_each_training() -> None:
    good, turned = rows("net_0", 0.2).assign(network="net_0"), rows("net_1", 0.2).assign(network="net_1")
    turned.loc[turned.target == "least", "score"] *= 0.1
    cells = pd.DataFrame({"cell": ["net_0", "net_1"], "network": ["net_0", "net_1"], "family": "net"})
    cells = cells.assign(
        base_network="net", transformation="Identity", variant="all", bpda=True, order="first_order", sampling="{}"
    )
    (found,) = [claim for claim in claims(pd.concat([good, turned]), cells, None, 0) if "most likely" in claim.text]
    assert found.verdict is Verdict.FAILS
    assert [line.split(",")[0] for line in found.evidence] == ["net 0", "net 1"]


def marks(claim: Claim) -> list[tuple[str, str]]:
    """By the row that the claim has in the experiment's table."""
    return ReportedClaim.of(claim.row()).marks("e")


def test_networks_that_differ_have_a_mark_each() -> None:
    same = of_two_networks(ratio=1.0, least=1.0)["With BPDA,"]
    assert marks(same) == [("e", Verdict.HOLDS)]
    differing = of_two_networks(ratio=3.0, least=1.0)["With BPDA,"]
    assert marks(differing) == [("e, one", Verdict.HOLDS), ("e, two", Verdict.FAILS)]


@pytest.mark.parametrize(
    ("low", "high", "verdict", "text"),
    [
        (
            0.8,
            1.3,
            Verdict.HOLDS,
            "net, L2 top-2, CLEVER: published 1.2, ours 1 over 3 trainings, prediction interval [0.8",
        ),
        (0.8, 1.1, Verdict.FAILS, "prediction interval [0.8, 1.1], outside"),
        (
            np.nan,
            np.nan,
            Verdict.UNDECIDED,
            "ours 1 over 3 trainings, undecided: a prediction interval needs the number",
        ),
    ],
)
def test_a_published_number_is_judged_by_what_another_training_would_give(
    low: float, high: float, verdict: Verdict, text: str
) -> None:
    row = {"network": "net", "norm": "L2", "target": "top2", "quantity": "clever", "published": 1.2, "mean": 1.0}
    of_other = row | {"network": "other", "seeds": 3, "expected_low": 5.0, "expected_high": 6.0}
    table = pd.DataFrame([row | {"seeds": 3, "expected_low": low, "expected_high": high}, of_other])
    cells = pd.DataFrame({"cell": ["net_0", "net_1"], "network": ["net_0", "net_1"], "family": "net"})
    cells = cells.assign(
        base_network="net", transformation="Identity", variant="all", bpda=True, order="first_order", sampling="{}"
    )
    scores = pd.concat([rows("net_0", 0.2), rows("net_1", 0.2)])
    (found,) = [claim for claim in claims(scores, cells, table, 0) if "retrained" in claim.text]
    assert found.verdict is verdict
    assert len(found.evidence) == 1
    assert text in found.evidence[0]


def test_each_network_with_defenses_has_its_figures_on_the_page() -> None:
    figures = committed("imagenet_sample").figures
    captions = {name: caption for name, caption, _ in figures}
    assert captions["scores"].endswith("(squeezenet1 1)")
    assert captions["efficientnet_lite0/scores"].endswith("(efficientnet lite0)")
    assert captions["networks"].endswith("found")


def test_without_first_order_there_is_nothing_to_compare_with() -> None:
    found = judged(rows("identity", 0.2), bpda=(True,), order=("second_order",))
    assert (found["With"], found["Second-order"]) == (Verdict.UNTESTED, Verdict.HOLDS)


def test_the_gauge_is_judged_apart_from_first_order() -> None:
    plain, orders = rows("jpeg-first_order", 0.2), ("first_order", "gauge")
    for score, verdict in ((0.3, Verdict.HOLDS), (3.0, Verdict.FAILS)):
        found = judged(plain, rows("jpeg-gauge", score), bpda=(True, True), order=orders)
        assert (found["First-order"], found["CLEVER"]) == (Verdict.HOLDS, verdict)
    assert judged(plain, bpda=(True,))["CLEVER"] is Verdict.UNTESTED


def order_of_targets(table: pd.DataFrame) -> tuple[Verdict, str]:
    cells = pd.DataFrame(
        {"cell": ["identity"], "network": "net", "family": "net", "transformation": "Identity", "bpda": True}
    )
    cells = cells.assign(order="first_order", sampling="{}")
    (found,) = [claim for claim in claims(table, cells, None, 0) if "most likely" in claim.text]
    return found.verdict, "; ".join(found.evidence)


def test_the_order_of_targets_is_judged_image_by_image() -> None:
    def verdict(**share: float) -> Verdict:
        table = rows("identity", 0.2)
        table["score"] *= table.target.map(share).fillna(1)
        return order_of_targets(table)[0]

    assert verdict() == Verdict.HOLDS
    assert verdict(random=0.5) == Verdict.FAILS
    generator = np.random.default_rng(0)
    table = rows("identity", 0.2)
    table["score"] = generator.random(len(table))
    found, evidence = order_of_targets(table)
    assert found is Verdict.UNDECIDED
    assert re.search(r"undecided: (about \d+ images|more images than are available) would decide", evidence)


def test_the_table_of_costs_says_in_which_arithmetic_and_on_what_machines() -> None:
    cost = committed("cifar10_staircases").cost
    changes = r"bfloat16: norms change by \d\.\d\d% \(median\), \d+\.\d\d% at most"
    assert cost["arithmetic of the gradients"].str.fullmatch(changes).all()
    cost = committed("cifar10_densenet").cost
    assert set(cost["arithmetic of the gradients"]) == {"float32"}
    assert cost.machine.str.contains(r"Intel|AMD|NVIDIA").all()


@pytest.fixture(params=["made here", "committed"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The report, made of the small project or as git has it, whatever lies in the working tree."""
    if request.param == "made here":
        return request.getfixturevalue("reported").folder / "results" / "report.html"
    command = ["git", "show", "HEAD:results/report.html"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True)
    if shown.returncode:
        pytest.skip(f"no committed report to show: {shown.stderr.decode().strip()}")
    path = tmp_path / "report.html"
    path.write_bytes(shown.stdout)
    return path


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
    assert all(width > 200 for width in widths), widths
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
    wide = "document.querySelector('.verdicts').getBoundingClientRect().right"
    assert width < 600 or browser.execute_script(f"return {wide}") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_prints(browser, page: Path) -> None:
    browser.get(page.as_uri())
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 4
