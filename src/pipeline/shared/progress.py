"""How far a job is: counted while it works, drawn as a bar, and told in the store to `pipeline.state`."""

import json
import os
import socket
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

import numpy as np
import psutil
from omegaconf import DictConfig
from tqdm.auto import tqdm

from clever.errors import InputError
from pipeline.shared import artifacts, kept, sweep
from pipeline.shared.artifacts import write_json
from pipeline.shared.classifier import device, sha256_of
from pipeline.shared.listed import listed
from pipeline.shared.shard import Shard

PAUSE = 10.0
"""Seconds between two reports of a process."""
SILENCE = 600.0
"""Seconds without a report after which a process elsewhere counts as dead; one on this machine is looked for."""


@dataclass
class Report:
    """What one process last told of its work on one cell.

    ``images``: of the cell. ``shard``, ``shards``, ``together``: which of them are this process's. ``done``: how many
    of these are finished, in their order. ``work``: points or attacks computed, in ``seconds``, of which ``sampling``
    are those at the points; ``per_image``: what an image takes. ``born``: when the process began; ``ended``: how, or
    nothing yet. Times are seconds since 1970.
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
    sampling: float = 0.0
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
    """Counts the work of this job while the context lasts, and tells of it: a bar of its own, or a sweep's one bar, and
    reports to the store.

    ``left``: how much work there is in ``unit``s; ``per_image``: the most of an image. ``folder``: `about_cell`.
    ``computed`` and ``from_store``: how much was done, and how. `InputError` where ``device`` was chosen automatically
    and others have computed the cell on another kind of device, whose points are different ones: all would be computed
    anew, perhaps on a machine that is not meant for it.
    """

    def __init__(
        self, config: DictConfig, folder: Path, *, shard: Shard, together: int, per_image: int, left: int, unit: str
    ) -> None:
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
        self.from_store = 0
        self.member = sweep.join(str(config.cell))
        self.bar = tqdm(
            total=left, unit=unit, unit_scale=True, desc=str(config.cell), smoothing=0, disable=bool(self.member)
        )
        self.left = left

    @property
    def computed(self) -> int:
        """How much was computed here."""
        return self.report.work

    def compute(self, work: int) -> None:
        """So much more was computed."""
        self.report.work += work
        self._done(work)

    def spend(self, seconds: float) -> None:
        """So many more seconds of the network at the points."""
        self.report.sampling += seconds

    def find(self, work: int) -> None:
        """So much more was in the store."""
        self.from_store += work
        if not self.bar.disable:
            self.bar.initial += work  # what was only read says nothing of the time that is left
        self._done(work)

    def reached(self, row: int, left: int) -> None:
        """All images up to this place are finished; ``left`` of the work is still to be done."""
        self.report.done = int(np.searchsorted(self.rows, row, "right"))
        self.left = left
        self.bar.total = self.computed + self.from_store + left  # what was given up is not done
        self._done(0)

    def of_all_runs(self) -> dict[str, float]:
        """What all processes that have told of this cell in the store have computed, interrupted ones and this one too.

        ``work``: points or attacks; ``seconds``: of the processes that computed some, added up, to their last report,
        so that of a killed one up to 10 are missing; ``sampling``: those at the points alone. Cells that share all
        their work share the numbers; what the run of another cell left in the store is not in them.
        """
        self._write()
        heard = [report for report in reports(self.path.parent) if report.work]
        work, seconds, sampling = (
            sum(getattr(report, of) for report in heard) for of in ("work", "seconds", "sampling")
        )
        told = {"work": work, "seconds": round(seconds, 1), "processes": len(heard)}
        return told | ({"sampling": round(sampling, 3)} if sampling else {})

    def say(self, message: str) -> None:
        """A line for the terminal, through the sweep's one writer where there is one."""
        if self.member:
            self.member.say(message)
        else:
            print(message)

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
        self.bar.close()
        with suppress(OSError):  # the work itself meets a full disk, too
            self._write()

    def _keep_telling(self) -> None:
        while not self.over.wait(PAUSE):
            with suppress(OSError):
                self._write()

    def _done(self, work: int) -> None:
        self.left -= work
        self.bar.update(work)
        if self.member:
            self.member.tell(self.computed, self.from_store, self.left)

    def _write(self) -> None:
        self.report.heard, self.report.seconds = time.time(), time.perf_counter() - self.began
        write_json(self.path, asdict(self.report))


def about_cell(config: DictConfig, decided_by: dict[str, object]) -> Path:
    """The folder of the reports on one cell: by what decides its numbers, but neither how many images nor the device.

    ``decided_by``: as the cell's stage says it. Cells that share all their work share their reports.
    """
    decided = {name: value for name, value in decided_by.items() if name != "device"}
    asked = {
        "images": sha256_of(artifacts.manifest(config)),
        "targets": listed(config.targets, "targets"),
        "norms": listed(config.norms, "norms"),
    }
    return artifacts.store(config) / "progress" / kept.name_of(decided | asked)[:32]


def reports(folder: Path) -> list[Report]:
    """Of all processes that have worked on the cell; one that cannot be read is named on stderr."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Report(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError) as broken:
            print(f"{path} is no report: {broken}", file=sys.stderr)
    return found
