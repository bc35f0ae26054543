"""How far the runs of a cell are, as they tell it in the store while they work."""

import json
import os
import socket
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

import numpy as np
import psutil
from omegaconf import DictConfig

from clever.errors import InputError
from pipeline import artifacts
from pipeline.artifacts import write_json
from pipeline.classifiers.networks import device
from pipeline.classifiers.selection import listed, settings_of
from pipeline.classifiers.shard import Shard

PAUSE = 10.0
"""Seconds between two reports of a process."""
SILENCE = 600.0
"""Seconds without a report after which a process elsewhere counts as dead; one on this machine is looked for."""


@dataclass
class Report:
    """What one process last told of its work on one cell.

    ``images``: of the cell. ``shard``, ``shards``, ``together``: which of them are this process's. ``done``: how many
    of these are finished, in their order. ``work``: points or attacks computed, in ``seconds``; ``per_image``: what an
    image takes. ``born``: when the process began; ``ended``: how, or nothing yet. Times are seconds since 1970.
    """

    images: int
    shard: int
    shards: int
    together: int
    per_image: int
    device: str
    host: str
    pid: int
    born: float
    job: str
    heard: float
    done: int = 0
    work: int = 0
    seconds: float = 0.0
    ended: str = ""

    @property
    def rows(self) -> list[int]:
        """The images of this process, by their places."""
        return Shard(self.shard, self.shards).rows(self.images, self.together).tolist()  # type: ignore[no-any-return]

    @property
    def alive(self) -> bool:
        """Whether the process still works, as far as can be told from here."""
        if self.ended:
            return False
        if self.host != socket.gethostname():
            return time.time() - self.heard < SILENCE
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.born) < 2
        except psutil.NoSuchProcess:
            return False


class Progress:
    """Reports of this process on one cell, now and then while the context lasts; at its end, how the work ended.

    `InputError` where ``device`` was chosen automatically and others have computed the cell on another kind of device,
    whose points are different ones: all would be computed anew, perhaps on a machine that is not meant for it.
    """

    def __init__(self, config: DictConfig, folder: Path, shard: Shard, together: int, per_image: int) -> None:
        kind, pid, now = device(config).type, os.getpid(), time.time()
        elsewhere = {report.device for report in reports(folder) if report.done} - {kind}
        if elsewhere and config.device == "auto":
            raise InputError(
                f"{config.cell} was computed on {' and '.join(sorted(elsewhere))} before, and device=auto is {kind} "
                f"here, which draws other points: go on where there is such a device, or say device={kind}"
            )
        born, job = psutil.Process(pid).create_time(), os.environ.get("SLURM_JOB_ID", "")
        who = (kind, socket.gethostname(), pid, born, job, now)
        self.report = Report(config.score.n_images, shard.index, shard.count, together, per_image, *who)
        self.rows = np.array(self.report.rows)
        self.path = folder / f"{uuid.uuid4().hex}.json"
        self.began, self.over = time.perf_counter(), Event()
        self.thread = Thread(target=self._keep_telling, daemon=True)

    def computed(self, work: int) -> None:
        """So much more was computed."""
        self.report.work += work

    def reached(self, row: int) -> None:
        """All images up to this place are finished."""
        self.report.done = int(np.searchsorted(self.rows, row, "right"))

    def __enter__(self) -> "Progress":
        self._write()
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.thread.join()
        if kind is None:
            self.report.done = len(self.rows)
        self.report.ended = kind.__name__ if kind else "finished"
        with suppress(OSError):  # the work itself meets a full disk, too
            self._write()

    def _keep_telling(self) -> None:
        while not self.over.wait(PAUSE):
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        self.report.heard, self.report.seconds = time.time(), time.perf_counter() - self.began
        write_json(self.path, asdict(self.report))


def about_cell(config: DictConfig, stage: str, decided_by: dict[str, object]) -> Path:
    """The folder of the reports on one cell: by what decides its numbers, but neither how many images nor the device.

    Cells that share all their work share their reports.
    """
    settings = settings_of(config)
    asked = [settings] if stage == "score" else [settings.reference, settings.random_target, settings.seed]
    decided = {name: value for name, value in decided_by.items() if name != "device"}
    images = sha256(artifacts.MANIFEST.read_bytes()).hexdigest()
    which = [listed(config.targets, "targets"), listed(config.norms, "norms"), images]
    text = json.dumps([stage, repr(asked), which, decided], sort_keys=True)
    return artifacts.store(config) / "progress" / sha256(text.encode()).hexdigest()[:32]


def reports(folder: Path) -> list[Report]:
    """Of all processes that have worked on the cell; one that cannot be read is named on stderr."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Report(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError) as broken:
            print(f"{path} is no report: {broken}", file=sys.stderr)
    return found
