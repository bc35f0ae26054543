"""Entry point of every stage: a Hydra app with readable errors, --version and exit codes."""

import errno
import importlib
import os
import platform
import signal
import sys
import traceback
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import hydra
import torch
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from clever.errors import InputError
from pipeline.shared.app import artifacts
from pipeline.shared.app.schema import check_values
from pipeline.shared.app.setting_errors import explain
from pipeline.shared.app.sweep import Refused, end_with_launcher

DEFECT = 1
BAD_INPUT = 2
NO_DISK = 3
INTERRUPTED = 130
TERMINATED = 143
RESUMES = "finished work is saved; run the same command again to resume"
DISK = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE", "ENOTDIR")}
"""Disk errors that are not bugs: full, over quota, read-only, permission denied, broken, unmounted."""
SETTINGS_ERRORS = (InputError, HydraException, OmegaConfBaseException)


class JobError(Exception):
    """A bug in a job. Its text is the job's traceback, which would be lost between a launcher's processes."""


def launch(stage: str) -> None:
    """Run ``pipeline.<stage>.run.run`` with the configuration given on the command line.

    Exit codes: 0 success; 1 a bug, with its traceback; 2 invalid input, with one message; 3 a disk that is full,
    read-only or forbidden; 130 interrupted; 143 terminated. After the last three, the same command resumes the work.
    """
    if "--version" in sys.argv[1:]:
        ours, python = version("clever-robustness"), platform.python_version()
        print(f"clever-robustness {ours}, torch {torch.__version__}, Python {python}")
        return
    conf = Path.cwd() / "conf"
    if not (conf / "config.yaml").is_file():
        _stop(BAD_INPUT, f"there is no conf/config.yaml in {Path.cwd()}: run this in the project folder")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, not to Hydra's shortened traceback
    os.environ["HYDRA_MAIN_MODULE"] = f"pipeline.{stage}"  # Hydra derives the job name from it
    signal.signal(signal.SIGTERM, _terminate)
    try:
        hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(partial(run_job, stage))()
    except JobError as error:
        _stop(DEFECT, str(error))
    except Refused as error:
        _stop(BAD_INPUT, str(error))
    except SETTINGS_ERRORS as error:
        _stop(BAD_INPUT, explain(error))
    except (TypeError, ValueError) as error:
        # Not from a job: Hydra fails on some values of groups, such as null, when it composes the configuration.
        _stop(BAD_INPUT, f"the settings {' '.join(sys.argv[1:])} are invalid: {error}")
    except OSError as error:
        if error.errno not in DISK:
            raise
        _stop(NO_DISK, f"error: {error.strerror}: {error.filename or 'the disk'}; {RESUMES}")
    except KeyboardInterrupt:
        _stop(INTERRUPTED, f"interrupted; {RESUMES}")


def run_job(stage: str, config: DictConfig) -> None:
    """Run one job of a stage, in this or a launcher's process; raises `InputError`, `OSError` or `JobError`."""
    end_with_launcher()
    try:
        artifacts.fill_in_paths(config, stage)
        check_values(config)
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        importlib.import_module(f"pipeline.{stage}.run").run(config)
    except SETTINGS_ERRORS as error:
        raise InputError(explain(error)) from error
    except OSError:
        raise
    except Exception as error:
        raise JobError(traceback.format_exc()) from error


def _terminate(signum: int, frame: FrameType | None) -> None:
    _stop(TERMINATED, f"terminated; {RESUMES}")


def _stop(code: int, message: str) -> None:
    print(f"error: {message}" if code == BAD_INPUT else message, file=sys.stderr)
    sys.exit(code)
