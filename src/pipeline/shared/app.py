"""What every stage is as a program: a Hydra app with errors that help, --version and exit codes."""

import errno
import importlib
import os
import platform
import re
import signal
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import hydra
import torch
from hydra.errors import HydraException
from hydra.initialize import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clever.errors import InputError
from pipeline.shared import artifacts, sweep
from pipeline.shared.kinds import check_kinds

BAD_INPUT = 2
NO_DISK = 3
INTERRUPTED = 130
TERMINATED = 143
GOES_ON = "what was finished is kept, and the same command goes on from there"
DISK = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE", "ENOTDIR")}
"""What a disk may say that is no defect of ours: full, over quota, read-only, forbidden, broken, gone."""


def launch(stage: str) -> None:
    """Runs ``pipeline.<stage>.run.run`` with the configuration of the command line.

    Exit code 0; 1 for a defect, with its traceback; 2 for bad input, with one message; 3 for a disk that is full,
    read-only or forbidden; 130 and 143 when interrupted or terminated. After the last three the same command goes on
    where it was.
    """
    if "--version" in sys.argv[1:]:
        ours, python = version("clever-robustness"), platform.python_version()
        print(f"clever-robustness {ours}, torch {torch.__version__}, Python {python}")
        return
    conf = Path.cwd() / "conf"
    if not (conf / "config.yaml").is_file():
        _stop(BAD_INPUT, f"there is no conf/config.yaml in {Path.cwd()}: run this in the project's folder")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, not to Hydra's shortened traceback
    signal.signal(signal.SIGTERM, _terminate)
    # By its real name and not as __main__, so that a launcher's other processes find it.
    run = importlib.import_module(f"pipeline.{stage}.run").run

    def checked(config: DictConfig) -> None:
        artifacts.place(config, stage)
        check_kinds(config)
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        run(config)

    checked.__module__ = f"pipeline.{stage}"  # from which Hydra takes the job's name
    try:
        hydra.main(version_base="1.3", config_path=str(conf), config_name="config")(checked)()
    except sweep.Refused as error:
        _stop(BAD_INPUT, str(error))
    except (InputError, HydraException, OmegaConfBaseException) as error:
        _stop(BAD_INPUT, _explained(error, conf))
    except (TypeError, ValueError) as error:
        if _by_a_job(error):
            raise
        # Hydra itself stumbles over some values of groups, such as null, while it composes the configuration.
        _stop(BAD_INPUT, f"the settings {' '.join(sys.argv[1:])} make no configuration: {error}")
    except OSError as error:
        if error.errno not in DISK:
            raise
        _stop(NO_DISK, f"error: {error.strerror}: {error.filename or 'the disk'}; {GOES_ON}")
    except KeyboardInterrupt:
        _stop(INTERRUPTED, f"interrupted; {GOES_ON}")
    finally:
        sweep.end()


def _by_a_job(error: Exception) -> bool:
    """Whether a job raised it, here or in another process: Hydra hands that on through `JobReturn.return_value`."""
    return any(frame.name == "return_value" for frame in traceback.extract_tb(error.__traceback__))


def _terminate(signum: int, frame: FrameType | None) -> None:
    _stop(TERMINATED, f"terminated; {GOES_ON}")


def _stop(code: int, message: str) -> None:
    print(f"error: {message}" if code == BAD_INPUT else message, file=sys.stderr)
    sys.exit(code)


def _explained(error: Exception, conf: Path) -> str:
    """The message, the cause that Hydra or OmegaConf wrap, and for an unknown setting those that exist."""
    causes, at = [], error
    while at is not None:
        causes.append(at)
        at = at.__cause__  # type: ignore[assignment]
    ours = [cause for cause in causes if isinstance(cause, InputError)]
    if ours:
        return str(ours[0])
    text = "\n".join(dict.fromkeys(str(cause) for cause in causes))
    unknown = re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", text)
    if unknown:
        parent = unknown[2].rpartition(".")[0]
        return f"unknown setting {unknown[2]}: {parent or 'the top level'} has {', '.join(_settings(parent, conf))}"
    return text


def _settings(parent: str, conf: Path) -> list[str]:
    from hydra import compose

    with initialize_config_dir(str(conf), version_base="1.3"):
        node = OmegaConf.select(compose("config"), parent) if parent else compose("config")
    return sorted(map(str, node)) if isinstance(node, DictConfig) else ["no settings of its own"]
