"""A multirun: refused before its first job where it would mix up cells, its processes ended with it."""

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
    """The sweep is bad input. No `Exception`, of which Hydra would only warn where a callback raises it."""


class CheckSweep(Callback):
    """Hydra's callback (``hydra.callbacks``)."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """In the sweep's own process, before any job; `Refused`."""
        try:
            check_sweep(config)
        except InputError as error:
            raise Refused(str(error)) from error


@cache
def end_with_launcher() -> None:
    """Ends this process soon after the one that launched it, if it is a worker of joblib's.

    Joblib ends its workers on Ctrl-C and SIGTERM, but after a SIGKILL they would finish their jobs and wait for others.
    """
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if multiprocessing.parent_process() is not None:
        Thread(target=watch, daemon=True).start()
