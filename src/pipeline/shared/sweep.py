"""One line of progress for all jobs of a sweep: these write files, and the sweep's own process reads them.

The folder of these files is handed to the jobs by an environment variable, which Hydra's launchers pass on.
"""

import json
import os
import shutil
import signal
import sys
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tqdm.auto import tqdm

from clever.errors import InputError
from pipeline.shared.experiment import jobs

FOLDER = "CLEVER_SWEEP"
"""The environment variable: the sweep's folder, and the process that leads it."""
PAUSE = 1.0
"""Seconds between two looks at the files, and between two writings of one."""


class Refused(BaseException):
    """The sweep is bad input. No `Exception`, of which Hydra would only warn where a callback raises it."""


class OneLine(Callback):
    """Hydra's callback (``hydra.callbacks``): checks the sweep before its first job, and shows its progress."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the sweep's own process, before any job; `Refused`."""
        try:
            count = jobs(config)
        except InputError as error:
            raise Refused(str(error)) from error
        _sweeps.append(_Sweep(Path(config.store_dir) / "sweeps" / uuid.uuid4().hex, config.hydra.job.name, count))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """When all jobs have ended."""
        end()


def end() -> None:
    """Ends the sweep of this process, if it leads one."""
    while _sweeps:
        _sweeps.pop().close()


def join(cell: str) -> "Member | None":
    """This job's place in the sweep that it belongs to; None outside a sweep."""
    folder, _, leader = os.environ.get(FOLDER, "").rpartition("@")
    return Member(Path(folder), cell, int(leader)) if folder else None


class Member:
    """A job of a sweep: what it tells of its work."""

    def __init__(self, folder: Path, cell: str, leader: int) -> None:
        self.folder, self.cell, self.told = folder, cell, 0.0
        self.path = folder / f"{uuid.uuid4().hex}.json"
        # A launcher's process on this machine would outlive a sweep that is killed hard; a job of Slurm's should.
        if os.getppid() == leader:
            _end_with(leader)

    def tell(self, computed: int, from_store: int, left: int) -> None:
        """How much is done and left of this job; now and then, and at its end, it is written down."""
        if left and time.monotonic() - self.told < PAUSE:
            return
        self.told = time.monotonic()
        _write(self.path, {"cell": self.cell, "computed": computed, "from_store": from_store, "left": left})

    def say(self, message: str) -> None:
        """A line that the sweep's own process prints."""
        _write(self.folder / f"{uuid.uuid4().hex}.said", message)


@cache
def _end_with(leader: int) -> None:
    """Ends this process soon after its parent, be it at work or idle between two jobs."""

    def watch() -> None:
        while os.getppid() == leader:
            time.sleep(PAUSE)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def _write(path: Path, content: object) -> None:
    with suppress(OSError):  # what is shown is no result; the folder is gone if the sweep has ended
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(content))
        temporary.replace(path)


class _Sweep:
    def __init__(self, folder: Path, name: str, count: int) -> None:
        self.folder, self.name, self.count = folder, name, count
        with suppress(OSError):  # a disk that cannot be written to is refused by the first job
            folder.mkdir(parents=True)
        self.environment = os.environ.get(FOLDER)
        os.environ[FOLDER] = f"{folder.absolute()}@{os.getpid()}"
        self.bar = tqdm(
            total=count,
            desc=name,
            bar_format="{desc}: {percentage:3.0f}%|{bar:20}| {n:.1f} of {total} cells [{elapsed}<{remaining}]{postfix}",
            smoothing=0,
            mininterval=0,
        )
        self.over = Event()
        self.thread = Thread(target=self._follow, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self._show()
        self.bar.close()
        os.environ.pop(FOLDER)
        if self.environment is not None:
            os.environ[FOLDER] = self.environment
        shutil.rmtree(self.folder, ignore_errors=True)

    def _follow(self) -> None:
        while not self.over.wait(PAUSE if sys.stderr.isatty() else 15 * PAUSE):
            self._show()

    def _show(self) -> None:
        share, computed, at_work = 0.0, 0.0, []
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError):
                job = json.loads(path.read_text())
                total = max(1, job["computed"] + job["from_store"] + job["left"])
                share += 1 - job["left"] / total
                computed += job["computed"] / total
                at_work += [f"{job['cell']} {1 - job['left'] / total:.0%}"] * bool(job["left"])
        for path in sorted(self.folder.glob("*.said")):
            with suppress(OSError, ValueError):
                self.bar.write(json.loads(path.read_text()))
                path.unlink()
        self.bar.initial = share - computed  # what was only read says nothing of the time that is left
        self.bar.n = share
        self.bar.set_postfix_str(", ".join(at_work))


_sweeps: list[_Sweep] = []
