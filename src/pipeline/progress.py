"""How far the runs of a cell are, as they tell it in the store while they work."""

import json
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from omegaconf import DictConfig

from pipeline import artifacts
from pipeline.artifacts import write_json
from pipeline.classifiers.networks import device
from pipeline.classifiers.selection import listed, settings_of
from pipeline.classifiers.shard import Shard

PAUSE = 10.0
"""Seconds between two reports of a process, at least."""
SILENCE = 600.0
"""Seconds without a report after which a process elsewhere counts as dead; one on this machine is looked for."""


@dataclass
class Report:
    """What one process last told of its work on one cell.

    ``images``: of the cell. ``shard``, ``shards``, ``together``: which of them are this process's. ``done``: how many
    of these are finished, in their order. ``work``: points or attacks computed, in ``seconds``; ``per_image``: what an
    image takes. ``ended``: how, or nothing yet. Times are seconds since 1970.
    """

    images: int
    shard: int
    shards: int
    together: int
    per_image: int
    host: str
    pid: int
    job: str
    started: float
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
        if self.host == socket.gethostname():
            return Path(f"/proc/{self.pid}").exists() if Path("/proc").is_dir() else True
        return time.time() - self.heard < SILENCE


class Progress:
    """Reports of this process on one cell; as a context, it also tells how the work ended."""

    def __init__(self, folder: Path, shard: Shard, images: int, together: int, per_image: int) -> None:
        now = time.time()
        job = os.environ.get("SLURM_JOB_ID", "")
        who = (socket.gethostname(), os.getpid(), job)
        self.report = Report(images, shard.index, shard.count, together, per_image, *who, now, now)
        self.path = folder / f"{uuid.uuid4().hex}.json"
        self.began = time.perf_counter()

    def computed(self, work: int) -> None:
        """So much more was computed."""
        self.report.work += work
        self._tell()

    def reached(self, row: int) -> None:
        """All images up to this place are finished."""
        self.report.done = sum(own <= row for own in self.report.rows)
        self._tell()

    def __enter__(self) -> "Progress":
        self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.report.done = len(self.report.rows)
        self.report.ended = kind.__name__ if kind else "finished"
        with suppress(OSError):  # a full disk has been reported already
            self._write()

    def _tell(self) -> None:
        if time.time() - self.report.heard > PAUSE:
            self._write()

    def _write(self) -> None:
        self.report.heard, self.report.seconds = time.time(), time.perf_counter() - self.began
        write_json(self.path, asdict(self.report))


def about_cell(config: DictConfig, stage: str, decided_by: object) -> Path:
    """The folder of the reports on one cell: by all that decides its numbers but how many images there are."""
    asked = [repr(settings_of(config)), listed(config.targets, "targets"), listed(config.norms, "norms")]
    images = sha256(artifacts.MANIFEST.read_bytes()).hexdigest()
    text = json.dumps([stage, config.cell, images, decided_by, asked, str(device(config))], sort_keys=True)
    return artifacts.store(config) / "progress" / sha256(text.encode()).hexdigest()[:32]


def reports(folder: Path) -> list[Report]:
    """Of all processes that have worked on the cell."""
    return [Report(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
