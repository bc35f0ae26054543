"""Multiruns: conflicting sweeps are rejected before the first job, and worker processes end with their launcher."""

import multiprocessing
import os
import signal
import time
from functools import cache
from threading import Thread
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from clever.errors import InputError
from pipeline.shared.app.experiment import check_sweep


class Refused(BaseException):
    """The sweep is invalid. A `BaseException`, since Hydra only warns of an `Exception` raised in a callback."""


class CheckSweep(Callback):
    """Hydra callback (``hydra.callbacks``) that checks the sweep."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Raise `Refused` in the launching process, before any job starts."""
        try:
            check_sweep(config)
        except InputError as error:
            raise Refused(str(error)) from error


@cache
def end_with_launcher() -> None:
    """End this process soon after the process that launched it, if it is a joblib worker.

    Joblib ends its workers on Ctrl-C and SIGTERM, but after a SIGKILL they would finish their jobs and wait for more.
    """
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if multiprocessing.parent_process() is not None:
        Thread(target=watch, daemon=True).start()
