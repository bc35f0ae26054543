"""Progress of a job: shown on the terminal and recorded in the store for `pipeline.state` and later runs."""

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
"""Seconds after which counted work is written to the record; the record of a killed process lacks what came later."""
LINE_EVERY = 15.0
"""Seconds between two progress lines if there is no bar."""


@dataclass
class Record:
    """The work of one process on one cell.

    ``job``: Slurm job id. ``last_seen``: seconds since 1970. ``images``: rows of the finished images. ``work``: points
    or attacks computed. ``seconds``: run time, of which ``sampling`` at the points. ``exit_reason``: "finished" or the
    name of the exception; empty if the process is running or was killed.
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
    """Periodic lines instead of a bar, for files and for processes that share a terminal."""

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """The function with which tqdm prints its state."""
        return lambda state: print(state, file=file, flush=True)

    def close(self) -> None:
        """Close without clearing the line."""
        self.disable = True


class Progress:
    """Context manager that counts, shows and records the work of this job.

    ``rows``: rows of its images. ``left``: remaining work in ``unit``s. ``folder``: `progress_dir`. ``computed`` and
    ``from_store``: work done here and read from the store. `InputError` for ``device=auto`` if the cell was computed on
    another kind of device before: its points differ, so everything would be computed again.
    """

    def __init__(self, config: DictConfig, folder: Path, *, rows: NDArray[np.int64], left: int, unit: str) -> None:
        kind = device(config).type
        other_kinds = {record.device for record in read_records(folder) if record.images} - {kind}
        if other_kinds and config.device == "auto":
            raise InputError(
                f"{config.cell} was computed on {' and '.join(sorted(other_kinds))} before, and device=auto chooses "
                f"{kind} here, which draws different points: continue on such a device, or set device={kind}"
            )
        who = (kind, socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID", ""))
        self.record, self.rows = Record(*who), rows
        self.path = folder / f"{uuid.uuid4().hex}.json"
        self.started = self.recorded = time.perf_counter()
        self.from_store, self.left = 0, left
        self.bar = _bar(str(config.cell), left, unit)

    @property
    def computed(self) -> int:
        """Work computed by this process."""
        return self.record.work

    def add_computed(self, work: int) -> None:
        """Count computed work."""
        self.record.work += work
        self._count(work)

    def add_sampling_time(self, seconds: float) -> None:
        """Add seconds spent on evaluating the network at the points."""
        self.record.sampling += seconds

    def add_from_store(self, work: int) -> None:
        """Count work read from the store."""
        self.from_store += work
        self.bar.initial += work  # work from the store must not enter the estimate of the remaining time
        self._count(work)

    def mark_finished(self, row: int, left: int) -> None:
        """Mark all images up to ``row`` as finished, with ``left`` work remaining."""
        self.record.images = self.rows[self.rows <= row].tolist()
        self.left = left
        self.bar.total = self.computed + self.from_store + left  # excluded images reduce the total
        self._count(0)

    def totals(self) -> dict[str, float]:
        """Totals over all processes that have worked on this cell, including this one and interrupted ones.

        ``work``: points or attacks computed. ``seconds``: summed run time of the processes that computed any, up to
        their last record (a killed process may lack `RECORD_EVERY` seconds). ``sampling``: the part at the points.
        Cells with the same key share these totals; work that other cells left in the store is not included.
        """
        self._write()
        worked = [record for record in read_records(self.path.parent) if record.work]
        work, seconds, sampling = (
            sum(getattr(record, name) for record in worked) for name in ("work", "seconds", "sampling")
        )
        costs = {"work": work, "seconds": round(seconds, 1), "processes": len(worked)}
        return costs | ({"sampling": round(sampling, 3)} if sampling else {})

    def print(self, message: str) -> None:
        """Print a line above the bar."""
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
        with suppress(OSError):  # a full disk is reported by the work itself
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
    """A progress bar, or lines if this process shares the terminal."""
    job = HydraConfig.get().job
    name = cell if OmegaConf.is_missing(job, "num") else f"#{job.num} {cell}"  # as Hydra lists the jobs of a sweep
    options: dict[str, Any] = {"total": total, "desc": name, "unit": unit, "unit_scale": True, "smoothing": 0}
    if sys.stderr.isatty() and multiprocessing.parent_process() is None:
        return tqdm(**options)
    line = "{desc}: {percentage:3.0f}% of {total_fmt} {unit}s, {remaining} left"
    return Lines(**options, bar_format=line, mininterval=LINE_EVERY, delay=LINE_EVERY, miniters=1)


def progress_dir(config: DictConfig, key: dict[str, object]) -> Path:
    """Folder of a cell's progress records, named by a hash of its cache key and of images, targets and norms.

    ``key``: the cell's cache key in its stage; its device is ignored, and the number of images is not part of the hash.
    Cells with the same hash share their records.
    """
    cell_key = {name: value for name, value in key.items() if name != "device"}
    selection = {
        "images": sha256_of(artifacts.manifest(config)),
        "targets": parse_list(config.targets, "targets"),
        "norms": parse_list(config.norms, "norms"),
    }
    return artifacts.store_dir(config) / "progress" / kept.cache_key(cell_key | selection)[:32]


def read_records(folder: Path) -> list[Record]:
    """Records of all processes that have worked on the cell; unreadable ones are reported on stderr."""
    readable = []
    for path in sorted(folder.glob("*.json")):
        try:
            readable.append(Record(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError) as broken:
            print(f"{path} is not a valid progress record: {broken}", file=sys.stderr)
    return readable
