"""What a run says of the machine and of what it took, earlier runs of the same cell included."""

import json
import re

import pytest
import torch

from conftest import Project
from pipeline.shared.store import progress
from pipeline.shared.text import machine as code
from pipeline.shared.text.machine import machine


def test_the_machine_of_a_cpu(tmp_path, monkeypatch) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nprocessor : 1\nmodel name\t: No\n"
    )
    monkeypatch.setattr(code, "CPUINFO", tmp_path / "cpuinfo")
    told = machine(torch.device("cpu"))
    assert told["model"] == "Some CPU @ 2 GHz"
    assert told["threads"] == torch.get_num_threads()
    assert told["cores"] >= 1
    monkeypatch.setattr(code, "CPUINFO", tmp_path / "nowhere")
    assert machine(torch.device("cpu"))["model"]


def test_a_run_tells_what_it_took_with_all_runs_before_it(project: Project) -> None:
    results = project.folder / "results" / "x"
    for stage, done, processes in (("score", "points", 2), ("attack", "attacks", 1)):  # images attacked together
        project.stage(stage, "shards=2", "shard=0", "threads=1")
        project.stage(stage, f"results_dir={results}", "threads=1")
        first = json.loads((results / "run.json").read_text())
        taken = first["of_all_runs"]
        assert first[f"{done}_from_store"] > 0
        assert taken["work"] == first[f"{done}_computed"] + first[f"{done}_from_store"]
        assert taken["processes"] == processes
        assert taken["seconds"] > 0
        assert first["machine"]["threads"] == 1
        project.stage(stage, f"results_dir={results}", "threads=1")  # all of it from the store
        again = json.loads((results / "run.json").read_text())
        assert again[f"{done}_computed"] == 0
        again["of_all_runs"]["seconds"] = pytest.approx(taken["seconds"], abs=1)  # what it took to write the tables
        assert taken == again["of_all_runs"]


def test_progress_is_lines_and_no_bar_where_there_is_no_terminal(project: Project, monkeypatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 1e-9)
    shown = project.stage("score", "results_dir=run").stderr
    lines = [line for line in shown.splitlines() if "left" in line]
    found = [re.fullmatch(r"identity: +(\d+)% of (\S+) points, \S+ left", line) for line in lines]
    assert all(found), lines
    assert len({one[2] for one in found}) == 1
    percent = [int(one[1]) for one in found]
    assert percent == sorted(percent)
    assert len(set(percent)) > 2
    assert "\r" not in shown
