"""How far a job is: shown on the terminal, and recorded in the store, where `pipeline.state` and later runs read it."""

import json
import multiprocessing
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from tqdm.auto import tqdm

from clever.errors import InputError
from pipeline.shared.app import artifacts
from pipeline.shared.app.artifacts import write_json
from pipeline.shared.app.listed import parse_list
from pipeline.shared.models.classifier import device, sha256_of
from pipeline.shared.store import kept

RECORD_EVERY = 10.0
"""Seconds of work that the record of a killed process can lack."""
LINE_EVERY = 15.0
"""Seconds between two lines of progress, where there is no bar."""


@dataclass
class Record:
    """What one process has done for one cell.

    ``job``: of Slurm's. ``last_seen``: seconds since 1970. ``images``: the places of those that are finished. ``work``:
    points or attacks computed, in ``seconds``, of which ``sampling`` are those at the points. ``exit_reason``:
    "finished", or the name of the exception; empty for a process that runs or was killed.
    """

    device: str
    host: str
    pid: int
    job: str
    last_seen: float = 0.0
    images: list[int] = field(default_factory=list)
    work: int = 0
    seconds: float = 0.0
    sampling: float = 0.0
    exit_reason: str = ""


class Lines(tqdm):  # type: ignore[type-arg]
    """A line now and then in the place of a bar: for files, and where several processes share a terminal."""

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """What tqdm shows its state with."""
        return lambda state: print(state, file=file, flush=True)

    def close(self) -> None:
        """Nothing to clear."""
        self.disable = True


class Progress:
    """Counts the work of this job while the context lasts, shows it and records it.

    ``rows``: the places of its images; ``left``: how much work there is in ``unit``s. ``folder``: `about_cell`.
    ``computed`` and ``from_store``: how much was done, and how. `InputError` where ``device`` was chosen automatically
    and others have computed the cell on another kind of device, whose points are different ones: all would be computed
    anew, perhaps on a machine that is not meant for it.
    """

    def __init__(self, config: DictConfig, folder: Path, *, rows: NDArray[np.int64], left: int, unit: str) -> None:
        kind = device(config).type
        elsewhere = {record.device for record in read_records(folder) if record.images} - {kind}
        if elsewhere and config.device == "auto":
            raise InputError(
                f"{config.cell} was computed on {' and '.join(sorted(elsewhere))} before, and device=auto is {kind} "
                f"here, which draws other points: go on where there is such a device, or say device={kind}"
            )
        who = (kind, socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID", ""))
        self.record, self.rows = Record(*who), rows
        self.path = folder / f"{uuid.uuid4().hex}.json"
        self.started = self.recorded = time.perf_counter()
        self.from_store, self.left = 0, left
        self.bar = _bar(str(config.cell), left, unit)

    @property
    def computed(self) -> int:
        """How much was computed here."""
        return self.record.work

    def add_computed(self, work: int) -> None:
        """So much more was computed."""
        self.record.work += work
        self._count(work)

    def add_sampling_time(self, seconds: float) -> None:
        """So many more seconds of the network at the points."""
        self.record.sampling += seconds

    def add_from_store(self, work: int) -> None:
        """So much more was in the store."""
        self.from_store += work
        self.bar.initial += work  # what was only read says nothing of the time that is left
        self._count(work)

    def mark_finished(self, row: int, left: int) -> None:
        """All images up to this place are finished; ``left`` of the work is still to be done."""
        self.record.images = self.rows[self.rows <= row].tolist()
        self.left = left
        self.bar.total = self.computed + self.from_store + left  # what was given up is not done
        self._count(0)

    def totals(self) -> dict[str, float]:
        """What all processes recorded for this cell in the store have computed, interrupted ones and this one too.

        ``work``: points or attacks; ``seconds``: of the processes that computed some, added up, to their last record,
        so that of a killed one up to 10 are missing; ``sampling``: those at the points alone. Cells that share all
        their work share the numbers; what the run of another cell left in the store is not in them.
        """
        self._write()
        found = [record for record in read_records(self.path.parent) if record.work]
        work, seconds, sampling = (
            sum(getattr(record, of) for record in found) for of in ("work", "seconds", "sampling")
        )
        costs = {"work": work, "seconds": round(seconds, 1), "processes": len(found)}
        return costs | ({"sampling": round(sampling, 3)} if sampling else {})

    def print(self, message: str) -> None:
        """A line for the terminal, above the bar."""
        if isinstance(self.bar, Lines):
            print(message, flush=True)
        else:
            self.bar.write(message)

    def __enter__(self) -> "Progress":
        self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.record.images = self.rows.tolist()
        self.record.exit_reason = kind.__name__ if kind else "finished"
        self.bar.close()
        with suppress(OSError):  # the work itself meets a full disk, too
            self._write()

    def _count(self, work: int) -> None:
        self.left -= work
        self.bar.update(work)
        if time.perf_counter() - self.recorded > RECORD_EVERY:
            self._write()

    def _write(self) -> None:
        self.recorded = time.perf_counter()
        self.record.last_seen, self.record.seconds = time.time(), self.recorded - self.started
        write_json(self.path, asdict(self.record))


def _bar(cell: str, total: int, unit: str) -> "tqdm[Any]":
    """A bar, where this process has the terminal for itself."""
    job = HydraConfig.get().job
    name = cell if OmegaConf.is_missing(job, "num") else f"#{job.num} {cell}"  # as Hydra lists the jobs of a sweep
    options: dict[str, Any] = {"total": total, "desc": name, "unit": unit, "unit_scale": True, "smoothing": 0}
    if sys.stderr.isatty() and multiprocessing.parent_process() is None:
        return tqdm(**options)
    form = "{desc}: {percentage:3.0f}% of {total_fmt} {unit}s, {remaining} left"
    return Lines(**options, bar_format=form, mininterval=LINE_EVERY, delay=LINE_EVERY, miniters=1)


def progress_dir(config: DictConfig, decided_by: dict[str, object]) -> Path:
    """The folder of the records of one cell: by what decides its numbers, but neither how many images nor the device.

    ``decided_by``: as the cell's stage has it. Cells that share all their work share their records.
    """
    decided = {name: value for name, value in decided_by.items() if name != "device"}
    asked = {
        "images": sha256_of(artifacts.manifest(config)),
        "targets": parse_list(config.targets, "targets"),
        "norms": parse_list(config.norms, "norms"),
    }
    return artifacts.store_dir(config) / "progress" / kept.cache_key(decided | asked)[:32]


def read_records(folder: Path) -> list[Record]:
    """Of all processes that have worked on the cell; one that cannot be read is named on stderr."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Record(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError) as broken:
            print(f"{path} is no record of progress: {broken}", file=sys.stderr)
    return found
