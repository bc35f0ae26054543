"""Whether `pipeline.verify` finds what differs, and lets pass what rounding may do."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Project
from pipeline.verify.compare import compare
from pipeline.verify.limits import COUNT, EQUAL, SCORE, TABLES

KEY = ["cell", "id"]


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"cell": "a", "id": [f"{i:03d}" for i in range(100)], **columns})


def test_differences_are_relative_and_symmetric() -> None:
    ours, committed = table(score=np.full(100, 1.0)), table(score=np.full(100, 0.8))
    for first, second in ((ours, committed), (committed, ours)):
        (found,), only = compare(first, second, KEY, {"score": SCORE})
        assert (found.median, found.quantile_95, found.largest) == pytest.approx((0.2, 0.2, 0.2))
        assert found.exceeds_limit
        assert not only


@pytest.mark.parametrize(
    ("changes", "beyond"),
    [
        ([], False),
        ([1e-2], False),  # one of a hundred may move by some percent
        ([6e-2], True),  # but not by more than 5 %
        ([2e-3] * 7, True),  # nor may one in twenty
        ([2e-5] * 60, True),  # nor most of them by more than rounding
        ([float("inf")], True),
        ([float("nan")], True),
    ],
)
def test_scores_within_and_beyond_their_limits(changes: list[float], beyond: bool) -> None:
    committed = table(score=np.linspace(0.1, 5, 100))
    ours = committed.copy()
    ours.loc[: len(changes) - 1, "score"] *= 1 + np.array(changes)
    (found,), _ = compare(ours, committed, KEY, {"score": SCORE})
    assert found.exceeds_limit is beyond
    if beyond and len(changes) == 1:
        assert found.at == "a 000"


def test_infinite_and_missing_values_are_equal_to_themselves() -> None:
    both = table(distance=np.where(np.arange(100) % 2, np.inf, np.nan))
    (found,), _ = compare(both, both.copy(), KEY, {"distance": EQUAL})
    assert not found.exceeds_limit
    assert found.largest == 0


def test_counts_may_be_two_apart_and_texts_must_be_equal() -> None:
    committed = table(count_above=3, verdict="holds")
    limits = {"count_above": COUNT, "verdict": EQUAL}
    assert not any(
        found.exceeds_limit for found in compare(table(count_above=5, verdict="holds"), committed, KEY, limits)[0]
    )
    for other in (table(count_above=6, verdict="holds"), table(count_above=3, verdict="does not hold")):
        assert sum(found.exceeds_limit for found in compare(other, committed, KEY, limits)[0]) == 1


def test_rows_and_columns_of_one_table_alone_are_told() -> None:
    committed = table(score=1.0)
    assert "row a 099 is missing" in compare(committed[:99], committed, KEY, {})[1]
    assert "row a 099 exists only in this run" in compare(committed, committed[:99], KEY, {})[1]
    assert compare(committed.drop(columns="score"), committed, KEY, {"score": SCORE})[1] == ["column score is missing"]


def test_verify_passes_on_the_committed_tables_and_names_a_changed_number(tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    project.set(experiments__reported=["small"])
    project.experiment("small")
    folder = tmp_path / "results" / "small" / "tables"
    folder.mkdir(parents=True)
    for name, (key, limits) in TABLES.items():
        columns = {column: ["1"] if column == "id" else [1] for column in [*key, *limits]}
        pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    claims = tmp_path / "results" / "claims.csv"
    claims.write_text("experiment,claim,verdict\nsmall,a claim,holds\n")
    assert "git has no" in project.stage("verify", code=2, tiny="").stderr
    git = ("git", "-c", "user.name=Tests", "-c", "user.email=tests@localhost")
    for command in (("init", "--quiet"), ("add", "results"), ("commit", "--quiet", "-m", "Results")):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    assert "within the limits" in project.stage("verify", tiny="").stdout

    claims.write_text("experiment,claim,verdict\nsmall,a claim,does not hold\n")
    assert "claims.csv, verdict: 1.0e+00 at small a claim" in project.stage("verify", code=1, tiny="").stdout
    scores = pd.read_csv(folder / "scores.csv")
    scores.assign(target_class=2).to_csv(folder / "scores.csv", index=False)
    assert "target_class: 5.0e-01 at 1 1 1 1" in project.stage("verify", "experiment=small", code=1, tiny="").stdout
    renamed = scores.drop(columns="score").assign(points=scores.score, id=[2])
    renamed.to_csv(folder / "scores.csv", index=False)
    claims.write_text("experiment,claim,verdict\nsmall,a claim,holds\n")
    subprocess.run([*git, "commit", "--quiet", "-am", "Rename"], cwd=tmp_path, check=True)
    rev_parse = subprocess.run([*git, "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    scores.to_csv(folder / "scores.csv", index=False)
    names = tmp_path / "names.csv"
    since = ("verify", f"verify.since={rev_parse.stdout.strip()}", f"verify.renamed={names}")
    assert "there is no such file" in project.stage(*since, code=2, tiny="").stderr
    names.write_text("before,after\n")
    assert "it must have old, new" in project.stage(*since, code=2, tiny="").stderr
    names.write_text("old,new\npoints,score\n")
    subprocess.run([*git, "commit", "--quiet", "-am", "Rename back"], cwd=tmp_path, check=True)
    shown = project.stage(*since, tiny="").stdout
    assert "row 1 1 1 1 exists only in this run" in shown
    assert "column score is missing" not in shown
    (folder / "scores.csv").unlink()
    assert "run `make repro` first" in project.stage("verify", code=2, tiny="").stderr
