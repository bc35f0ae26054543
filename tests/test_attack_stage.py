"""The stage attack: every score gets its distance, nothing finished is attacked again, bad settings are refused."""

import json
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clever.errors import InputError
from conftest import TINY, Project
from pipeline.aggregate.upper_bounds import findings, join_distances, summarise_bounds
from pipeline.attack.taken import count_taken_images, take_distances

WEAK = ("attack.steps=10", "attack.starts=1", "attack.rounds=0", "norms=[L2,Linf]")


def finished(project: Project) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (project.folder / "store" / "attacks").rglob("*.npz")}


def attack(project: Project, *overrides: str, out: str = "run") -> tuple[pd.DataFrame, dict[str, object]]:
    project.stage("attack", *WEAK, f"results_dir={out}", *overrides)
    folder = project.folder / out
    return pd.read_csv(folder / "distances.csv"), json.loads((folder / "run.json").read_text())


def test_every_score_gets_the_distance_of_its_own_image_and_class(project: Project) -> None:
    distances, run = attack(project)
    project.stage("score", *WEAK, "results_dir=scores")
    scores = pd.read_csv(project.folder / "scores" / "scores.csv")
    key = ["cell", "network", "id", "label", "predicted", "target", "target_class", "norm"]
    assert len(scores) == len(scores.merge(distances, on=key, validate="one_to_one")) == len(distances)
    assert run["attacks_computed"] > 0
    examples = np.load(project.folder / "run" / "examples.npz")
    row = distances[(distances.norm == "L2") & (distances.target == "top2")].iloc[0]
    change = examples["L2 top2"] - examples["original"]
    assert np.linalg.norm(change) == pytest.approx(row.distance, rel=1e-4)


def test_attacks_may_be_fewer_than_scores(project: Project) -> None:
    distances, _ = attack(project, "attack.targets=[least]", "attack.norms=[Linf]")
    assert set(distances.target) == {"least"}
    assert set(distances.norm) == {"Linf"}


def test_what_is_finished_is_never_attacked_again_and_belongs_to_the_classifier_alone(project: Project) -> None:
    few = ("defense=quantize", "attack.steps=2", "score.n_images=1")
    first = attack(project, *few)
    again = attack(project, *few, "bpda=false", "sampling.n_batches=9", "sampling.estimator=maximum")
    assert again[1]["attacks_from_store"] == first[1]["attacks_computed"] > 0
    assert again[1]["attacks_computed"] == 0
    assert again[0].distance.equals(first[0].distance)
    decides = ("attack.steps=3", "attack.bpda=false", "attack.backward=smooth")
    for change in (*decides, "defense.levels=8", "sampling.seed=3"):
        assert attack(project, *few, change)[1]["attacks_computed"] > 0, change


def test_a_killed_attack_goes_on_where_it_was(project: Project) -> None:
    settings = ("attack.images=1", "score.n_images=4")
    attack(project, *settings, out="undisturbed")
    whole = len(finished(project))
    shutil.rmtree(project.folder / "store" / "attacks")
    command = (sys.executable, "-m", "pipeline.attack", *TINY.split(), *WEAK, *settings, "results_dir=killed")
    process = project.start(*command)
    while len(finished(project)) < 3 and process.poll() is None:
        time.sleep(0.002)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = finished(project)
    assert 3 <= len(kept) < whole
    _, run = attack(project, *settings, out="killed")
    assert kept.items() <= finished(project).items()
    assert run["attacks_from_store"] > 0
    name = "distances.csv"
    assert (project.folder / "killed" / name).read_bytes() == (project.folder / "undisturbed" / name).read_bytes()


def test_a_damaged_file_is_named_and_attacked_anew(project: Project) -> None:
    first = attack(project)[0]
    victim = next(iter(finished(project)))
    victim.write_bytes(victim.read_bytes()[:-30])
    shown = project.stage("attack", *WEAK, "results_dir=run").stderr
    assert f"{victim.relative_to(project.folder)} cannot be used and will be computed again" in shown
    assert pd.read_csv(project.folder / "run" / "distances.csv").equals(first)


def test_a_sweep_attacks_one_defense_after_another(project: Project) -> None:
    project.stage("attack", "-m", *WEAK, "defense=identity,chain")
    swept = sorted((project.folder / "multirun").rglob("distances.csv"))
    assert [path.parent.name for path in swept] == ["0-identity", "1-chain"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("attack.steps=0", "steps is 0: it must be a whole number of at least 1"),
        ("attack.starts=many", "starts is 'many'"),
        ("attack.images=0", "attack.images is 0: it must be a whole number from 1 to"),
        ("attack.exact=maybe", "attack.exact is 'maybe': it must be true or false"),
        ("attack.backward=straight", "backward is 'straight': it must be one of identity, smooth, smooth_jpeg"),
        (
            "attack.step=3",
            "unknown setting attack.step: attack has backward, bpda, draws, exact, images, method",
        ),
        ("norms=[L7]", "unknown norm 'L7'"),
    ],
)
def test_bad_settings_are_refused_before_any_attack(project: Project, override: str, message: str) -> None:
    shown = project.stage("attack", override, code=2)
    assert message in shown.stderr
    assert not finished(project)


def scores(*pairs: tuple[float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    same = {"network": "net", "cell": "identity", "norm": "L2", "target": "top2", "predicted": 0, "label": 0}
    fit = ["sample_maximum", "shape", "ks_pvalue", "fit_failed", "degenerate", "tied"]
    diagnostics = {"target_class": 1, "capped": False, "end_point": 1.0} | {f"end_point_{name}": 0.5 for name in fit}
    table = [same | diagnostics | {"id": f"i{n}", "score": score} for n, (score, _) in enumerate(pairs)]
    return pd.DataFrame(table), pd.DataFrame([same | {"id": f"i{n}", "distance": d} for n, (_, d) in enumerate(pairs)])


def test_scores_beside_distances_by_hand() -> None:
    rows = join_distances(*scores((1.0, 2.0), (2.0, 8.0), (3.0, 2.0), (4.0, np.inf)))
    assert list(rows.above_distance) == [False, False, True, False]
    (row,) = summarise_bounds(rows, 0).itertuples()
    assert (row.images, row.found, row.judged, row.count_above) == (4, 0.75, 3, 1)
    assert row.share_above == pytest.approx(1 / 3)
    assert (row.score, row.distance) == (2.0, 4.0)  # over those with a distance
    assert row.ratio == pytest.approx((0.5 * 0.25 * 1.5) ** (1 / 3))
    assert row.rank_correlation == pytest.approx(0.0)
    # Clopper and Pearson's interval of 1 in 3
    assert (row.share_above_low, row.share_above_high) == (
        pytest.approx(0.0084, abs=1e-4),
        pytest.approx(0.9057, abs=1e-4),
    )
    (found,) = findings(rows).itertuples()
    assert (found.id, found.excess) == ("i2", pytest.approx(0.5))


def test_findings_come_worst_first() -> None:
    rows = join_distances(*scores((1.1, 1.0), (3.0, 1.0), (2.0, 1.0)))
    assert list(findings(rows).id) == ["i1", "i2", "i0"]


def test_what_was_not_attacked_has_no_distance_and_one_image_that_was_left_out_is_an_error() -> None:
    table, distances = scores((1.0, 2.0), (3.0, 2.0))
    more = pd.concat([table, table.assign(norm="L1")])
    rows = join_distances(more, distances)
    assert list(rows.distance.isna()) == [False, False, True, True]
    assert not rows[rows.norm == "L1"].above_distance.any()
    assert list(summarise_bounds(rows, 0).norm) == ["L2"]
    with pytest.raises(InputError, match="1 of 2 scores have no adversarial distance"):
        join_distances(table, distances.head(1))
    with pytest.raises(InputError, match="no score has an adversarial distance"):
        join_distances(table, distances.assign(norm="L1"))


def test_distances_are_taken_from_an_experiment_that_attacked_the_same_classifier(project: Project) -> None:
    few = ("norms=[L2]", "targets=[top2]", "attack.steps=5", "attack.rounds=0", "score.n_images=2")
    for name, order in (("one", "first_order"), ("other", "gauge")):
        project.experiment(name, defense="identity,quantize", order=order)
        project.stage("model", f"experiment={name}")
        project.stage("score", "-m", f"experiment={name}", *few)
    project.stage("attack", "-m", "experiment=one", *few)
    of_other = ("experiment=other", *few, "attack.taken_from=one")
    assert "4 of 8 done" in project.stage("state", *of_other).stdout
    shown = project.stage("attack", "-m", *of_other, "shards=2", "shard=range(2)")
    assert "nothing to do for a shard; a run without shards takes the distances from results/one" in shown.stdout
    assert not (project.folder / "results" / "other" / "attack").exists()
    shown = project.stage("attack", "-m", *of_other)
    assert "8 of 8 done" in project.stage("state", *of_other).stdout
    assert "from results/one/attack/quantize-first_order" in shown.stdout + shown.stderr
    found = []
    for defense in ("identity", "quantize"):
        cells = {"one": f"{defense}-first_order", "other": f"{defense}-gauge"}
        folders = [project.folder / "results" / name / "attack" / cell for name, cell in cells.items()]
        source, taken = (pd.read_csv(folder / "distances.csv") for folder in folders)
        assert taken.cell.unique().tolist() == [cells["other"]]
        assert taken.drop(columns="cell").equals(source.drop(columns="cell"))
        told = json.loads((folders[1] / "run.json").read_text())
        assert told["taken_from"] == f"results/one/attack/{cells['one']}"
        assert told["strength"]["steps"] == 5
        found.append(int(np.isfinite(taken.distance).sum()))
    for stage in ("aggregate", "figures"):
        project.stage(stage, *of_other)
    assert pd.read_csv(project.folder / "results/other/tables/evidence.csv").images.tolist() == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("hydra.sweeper.params.defense=jpeg",),
            "no cell of results/one has attacked small_densenet with these weights and the defense",
        ),
        (("score.n_images=2",), "results/one/attack/identity has no distance for"),
        (("attack.taken_from=nothing",), "attack.taken_from=nothing: no cell of results/nothing"),
    ],
)
def test_what_cannot_be_taken_is_said(project: Project, change: tuple[str, ...], message: str) -> None:
    few = ("norms=[L2]", "targets=[top2]", "attack.steps=2", "attack.rounds=0", "score.n_images=1")
    for name in ("one", "other"):
        project.experiment(name, defense="identity")
        project.stage("model", f"experiment={name}")
    for stage in ("score", "attack"):
        project.stage(stage, "-m", "experiment=one", *few)
    own = ("-m", "experiment=other", *few, *change)
    project.stage("score", *[word for word in own if "taken" not in word])
    shown = project.stage("attack", "attack.taken_from=one", *own, code=2)
    assert message in shown.stderr


def written(folder: Path, name: str, *, image: str = "aa", target_class: int = 5, scored: int = 1) -> Path:
    """The results of an experiment of one cell and one image; its folder of scores."""
    about = {"network": "net", "weights": {"sha256": "0"}, "defense": {}, "bpda": True, "backward": "identity"}
    counts = {"scored": scored, "left_out_misclassified": 0, "left_out_not_finite": 0}
    row = {"cell": name, "id": "i", "target": "random", "target_class": target_class, "norm": "L2"}
    for stage, table, told in (
        ("score", {"scores.csv": row | {"image": image, "score": 1.0}}, about | counts),
        ("attack", {"distances.csv": row | {"distance": 2.0}}, {"cell": name, "strength": {}}),
    ):
        (folder / name / stage / "cell").mkdir(parents=True)
        (folder / name / stage / "cell" / "run.json").write_text(json.dumps(told))
        for file, line in table.items():
            pd.DataFrame([line]).to_csv(folder / name / stage / "cell" / file, index=False)
    return folder / name / "score" / "cell"


@pytest.mark.parametrize(
    ("own", "targets", "norms", "message"),
    [
        ({"image": "bb"}, ["random"], ["L2"], "one/attack/cell has different images named i: its data differs"),
        ({"target_class": 6}, ["random"], ["L2"], "has different classes for the target random: its seed or"),
        ({}, ["top2", "random"], ["L2"], "has no distance for the target top2: attack.targets can be random"),
        ({}, ["random"], ["L1", "L2", "Linf"], "has no distance for the norm L1, Linf: attack.norms can be L2"),
    ],
)
def test_distances_of_something_else_are_not_taken(
    tmp_path: Path, own: dict, targets: list[str], norms: list[str], message: str
) -> None:
    written(tmp_path, "one")
    assert len(take_distances(tmp_path / "one", written(tmp_path, "same"), "cell", ["random"], ["L2"])[0]) == 1
    with pytest.raises(InputError, match=message):
        take_distances(tmp_path / "one", written(tmp_path, "other", **own), "cell", targets, norms)


def test_an_image_without_one_of_the_targets_asked_for_is_named(tmp_path: Path) -> None:
    scores = written(tmp_path, "one")
    path = tmp_path / "one" / "attack" / "cell" / "distances.csv"
    row = pd.read_csv(path)
    pd.concat([row, row.assign(id="j", target="top2")]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"one/attack/cell has no distance for i$"):
        take_distances(tmp_path / "one", scores, "cell", ["random", "top2"], ["L2"])


def test_images_count_as_taken_where_the_distances_of_all_scores_are_there(tmp_path: Path) -> None:
    scores = written(tmp_path, "other", scored=7)
    attacks = tmp_path / "other" / "attack" / "cell"
    assert count_taken_images("one", scores, attacks) == 0  # attacked here
    (attacks / "run.json").write_text(json.dumps({"taken_from": "results/one/attack/cell"}))
    assert count_taken_images("one", scores, attacks) == 7
    assert count_taken_images("another", scores, attacks) == 0
    pd.read_csv(scores / "scores.csv").assign(id="j").to_csv(scores / "scores.csv", index=False)
    assert count_taken_images("one", scores, attacks) == 0
