"""What happens to long runs: kills, full and read-only disks, changed input, NaN. The numbers stay the same."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from clever._internal.capacity import Capacity
from conftest import ROOT, TINY, Project, stored_points

SCORE = (sys.executable, "-m", "pipeline.score", *TINY.split())
NUMBERS = ("scores.csv", "maxima.npy")


def same_numbers(project: Project, *folders: str) -> None:
    first, *others = (project.folder / name for name in folders)
    for name in NUMBERS:
        for other in others:
            assert (other / name).read_bytes() == (first / name).read_bytes(), other / name


def chunks(project: Project) -> list[Path]:
    return list((project.folder / "store" / "maxima").rglob("*.npz"))


def of_run(project: Project, name: str) -> dict:
    return json.loads((project.folder / name / "run.json").read_text())


def test_fifty_kills_at_random_moments_change_no_number(project: Project) -> None:
    """The numbers of this test: 50 tries, each killed by a real SIGKILL; no file lost, damaged or different.

    And no point computed twice: the last run takes all that the killed ones left.
    """
    script = ROOT / "tests" / "kill_at_random.py"
    shown = project.run(sys.executable, str(script), "50", *TINY.split(), "norms=[L2]")
    told = json.loads(shown.stdout.splitlines()[-1])
    assert told["kills"] == 50
    assert told["complete"] >= 1
    same_numbers(project, "undisturbed", *(f"complete-{number}" for number in range(told["complete"])))
    assert "cannot be used" not in (project.folder / "output.txt").read_text()
    last = of_run(project, f"complete-{told['complete'] - 1}")
    assert (last["points_from_store"], last["points_computed"] > 0) == (told["left_by_killed"], True)
    assert of_run(project, "after")["points_computed"] == 0


def test_two_runs_at_once_share_what_they_finish(project: Project) -> None:
    """One is stopped in the middle of its first chunks, the other runs from start to end, then the first goes on."""
    more = ("sampling.n_batches=40", "norms=[L2]")
    project.stage("score", "results_dir=alone", *more)
    whole = of_run(project, "alone")["points_computed"]
    shutil.rmtree(project.folder / "store" / "maxima")
    one = project.start(*SCORE, *more, "results_dir=one")
    while len(chunks(project)) < 2 and one.poll() is None:
        time.sleep(0.002)
    one.send_signal(signal.SIGSTOP)
    assert one.poll() is None
    project.stage("score", "results_dir=other", *more)
    one.send_signal(signal.SIGCONT)
    one.communicate(timeout=100)
    assert one.returncode == 0
    same_numbers(project, "alone", "one", "other")
    both = of_run(project, "one")["points_computed"] + of_run(project, "other")["points_computed"]
    assert whole <= both <= whole + 2 * 8  # at most the chunk that was under way: 8 points for two classes


@contextmanager
def mounted(kind: str, options: str, source: str, at: Path) -> Iterator[None]:
    """A file system of its own: needs the right to mount one."""
    command = ["mount", "-t", kind, "-o", options, source, str(at)]
    made = subprocess.run(command, capture_output=True, text=True) if os.geteuid() == 0 else None
    if made is None or made.returncode:
        pytest.skip(f"no right to mount: {made.stderr if made else 'not root'}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def test_a_disk_that_fills_up_loses_nothing(project: Project) -> None:
    project.stage("score", "results_dir=alone")
    disk = project.folder / "disk"
    disk.mkdir()
    with mounted("tmpfs", "size=60k", "tmpfs", disk):
        shown = project.stage("score", "results_dir=out", "store_dir=disk", code=3)
        assert "error: No space left on device" in shown.stderr
        assert "run the same command again to resume" in shown.stderr
        assert "Traceback" not in shown.stderr
        finished = stored_points(disk, 8)
        assert finished
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        project.stage("score", "results_dir=out", "store_dir=disk")
        run = of_run(project, "out")
        assert run["points_from_store"] == finished
        assert run["points_computed"] > 0
        same_numbers(project, "alone", "out")


@pytest.mark.parametrize("stage", ["score", "attack"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(project: Project, stage: str) -> None:
    (project.folder / "out").mkdir()
    with mounted("tmpfs", "ro", "tmpfs", project.folder / "out"):
        shown = project.stage(stage, "results_dir=out", code=3)
        assert "error: Read-only file system: out" in shown.stderr
        assert not chunks(project)
        assert not list((project.folder / "store").glob("attacks"))
        shown = project.stage(stage, "results_dir=run", "store_dir=out", code=3)
        assert "error: Read-only file system: out" in shown.stderr


def test_input_that_was_changed_between_stages_is_found_by_its_hash(project: Project) -> None:
    images = project.folder / "data" / "prepared" / "digits" / "images.npy"
    whole = images.read_bytes()
    for at, stage in ((-1, "model"), (200, "score"), (200, "attack")):
        changed = bytearray(whole)
        changed[at] ^= 1
        images.write_bytes(changed)
        shown = project.stage(stage, code=2)
        assert "does not match its sha256 in the manifest" in shown.stderr
    images.write_bytes(whole)
    weights = project.folder / "models" / "ad_hoc" / "small_densenet" / "weights.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    for stage in ("score", "attack"):
        shown = project.stage(stage, code=2)
        assert "does not match its sha256 in models/ad_hoc/small_densenet/about.json" in shown.stderr
    assert not chunks(project)


def test_memory_that_runs_out_halves_the_batch_and_changes_no_number() -> None:
    """The pass fails as torch fails, for more than 6 points at once; on a GPU, see the next test."""
    passes = []

    def measure(points: torch.Tensor) -> torch.Tensor:
        passes.append(len(points))
        if len(points) > 6:
            raise torch.OutOfMemoryError
        return points.square().sum((1, 2, 3)).view(-1, 1, 1)

    points = torch.rand(40, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    capacity = Capacity(32)
    found = capacity.run(measure, points)
    assert passes == [32, 16, 8, *[4] * 10]
    assert capacity.size == 4
    assert torch.equal(found, torch.cat([measure(point.unsqueeze(0)) for point in points]))
    with pytest.raises(torch.OutOfMemoryError):
        Capacity(4).run(lambda part: (_ for _ in ()).throw(torch.OutOfMemoryError()), points)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_out_of_memory_halves_the_batch() -> None:
    free = torch.cuda.mem_get_info()[0]
    points = torch.rand(64, 3, 8, 8, device="cuda")

    def measure(some: torch.Tensor) -> torch.Tensor:
        torch.empty(len(some) * free // 16, dtype=torch.uint8, device="cuda")  # 16 points fill what is free
        return some.square().sum((1, 2, 3)).view(-1, 1, 1)

    capacity = Capacity(64)
    found = capacity.run(measure, points)
    assert capacity.size < 16
    assert torch.equal(found, torch.cat([measure(point.unsqueeze(0)) for point in points]))


IMAGES = 6


def with_a_hole(project: Project) -> tuple[str, list[str]]:
    """The id of an image beside which the network has a hole, and the overrides that make that network.

    The band lies between the value of one of its pixels and the next value that 8 bits have, far from the same pixel
    of the other images.
    """
    folder = project.folder / "data" / "prepared" / "digits"
    pixels = np.load(folder / "images.npy")[:IMAGES, 0].astype(float) / 255
    apart = np.abs(pixels[:, None] - pixels[None])
    apart[np.arange(IMAGES), np.arange(IMAGES)] = 1
    image, row, column = np.unravel_index(apart.min(1).argmax(), pixels.shape)
    assert apart.min(1)[image, row, column] > 0.4
    value = pixels[image, row, column]
    low, high = (value + 1e-4, value + 0.0038) if value < 0.5 else (value - 0.0038, value - 1e-4)
    weights = project.folder / "models" / "ad_hoc" / "small_densenet" / "weights.pt"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    copy = shutil.copy(weights, project.folder / "copy.pt")
    hole = {"row": row, "column": column, "low": low, "high": high}
    return pd.read_csv(folder / "manifest.csv", dtype={"id": str}).id[image], [
        "model.network._target_=holes.Holes",
        *(f"+model.network.{name}={number}" for name, number in hole.items()),
        "model.name=holes",
        "weights=file",
        f"weights.path={copy}",
        f"weights.sha256={digest}",
    ]


def test_nan_at_some_points_stops_or_leaves_the_image_out_and_never_enters_a_number(project: Project) -> None:
    tiny = TINY.replace("n_images=2", f"n_images={IMAGES}")
    project.stage("score", "results_dir=plain", f"score.n_images={IMAGES}")
    name, hole = with_a_hole(project)
    project.stage("model", *hole, tiny=tiny)
    stopped = project.stage("score", *hole, "results_dir=stopped", code=2, tiny=tiny).stderr
    reason = r"NaN or infinite at \d of 8 points, the first of them point \d of batch \d in the L1 ball"
    assert re.search(reason, stopped)
    assert "score.nan=leave_out continues without this image" in stopped
    assert not (project.folder / "stopped" / "scores.csv").exists()

    project.experiment("holes", defense="identity")
    project.stage("model", "experiment=holes", *hole, tiny=tiny)
    for stage in ("score", "attack"):
        shown = project.stage(stage, "-m", "experiment=holes", *hole, "score.nan=leave_out", tiny=tiny)
        assert (f"{name} is excluded: the network or its derivative is NaN" in shown.stderr) == (stage == "score")
    run = of_run(project, "results/holes/score/identity")
    plain = of_run(project, "plain")
    assert (run["left_out_not_finite"], list(run["not_finite"])) == (1, [name])
    assert run["scored"] == plain["scored"] - 1
    table, every = (pd.read_csv(project.folder / at / "scores.csv") for at in ("results/holes/score/identity", "plain"))
    assert name in set(every.id)
    numbers = ["id", "target", "norm", "score", "low", "high", "margin", "end_point"]
    assert table[numbers].equals(every[every.id != name][numbers].reset_index(drop=True))
    project.stage("aggregate", "experiment=holes", *hole, tiny=tiny)
    tables = project.folder / "results" / "holes" / "tables"
    summary = pd.read_csv(tables / "summary.csv")
    assert (summary.images == run["scored"]).all()
    assert summary["mean"].notna().all()
    assert list(pd.read_csv(tables / "cells.csv").left_out_not_finite) == [1]


def test_nan_at_an_image_itself_leaves_it_out_too(project: Project) -> None:
    """The band holds the value of the image's own pixel: the network has no class for it."""
    tiny = TINY.replace("n_images=2", f"n_images={IMAGES}")
    name, hole = with_a_hole(project)
    hole = [re.sub(r"(low|high)=(.*)", lambda found: f"{found[1]}={float(found[2]) - 0.0005}", word) for word in hole]
    shown = project.stage("model", *hole, tiny=tiny).stdout
    assert float(re.search(r"accuracy ([\d.]+)%", shown)[1]) > 0
    for stage in ("score", "attack"):
        assert "NaN or infinite logits for image(s)" in project.stage(stage, *hole, code=2, tiny=tiny).stderr
        shown = project.stage(stage, *hole, "score.nan=leave_out", "results_dir=out", tiny=tiny)
        assert f"{name} is excluded: the network returns NaN or infinite logits" in shown.stderr
    for table in ("scores.csv", "distances.csv"):
        assert name not in set(pd.read_csv(project.folder / "out" / table).id)


def test_an_unknown_policy_is_refused(project: Project) -> None:
    shown = project.stage("score", "score.nan=ignore", code=2)
    assert "it must be one of stop, leave_out" in shown.stderr
