"""Paths of all files that the stages read and write, derived from the configuration."""

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig

from clever.errors import InputError
from pipeline.shared.app.experiment import data_set, experiment, job_cell_name, output_dir

WEIGHTS = Path("data/weights")
"""Weights that come with the project."""
RESULTS = Path("results")
CELL_STAGES = ("score", "attack")
"""Stages that run as a Hydra multirun, one job per cell."""


def fill_in_paths(config: DictConfig, stage: str, cell: str | None = None) -> None:
    """Fill in the settings that are null by default: the cell's name and the input and output folders.

    ``cell``: the cell's name; by default that of this job if the stage runs one job per cell.
    """
    name = experiment()
    cell = cell or config.cell or (job_cell_name() if stage in CELL_STAGES else "all")
    complete = name and config.shards == 1  # a shard only fills the store; its partial table is not a result
    folder = f"{RESULTS}/{name or 'ad_hoc'}" if config.experiment_dir is None else config.experiment_dir
    defaults = {
        "cell": cell,
        "prepared_dir": f"data/prepared/{data_set()}",
        "models_dir": f"models/{name or 'ad_hoc'}",
        "experiment_dir": folder,
        "results_dir": f"{folder}/{stage}/{cell}" if complete else output_dir(),
    }
    for key, value in defaults.items():
        if config[key] is None:
            config[key] = value


def experiment_dir(config: DictConfig, name: str) -> Path:
    """Results folder of an experiment: ``experiment_dir`` for the current one, ``results/<name>`` for any other."""
    return Path(config.experiment_dir) if name == experiment() else RESULTS / name


def images(config: DictConfig) -> Path:
    """The prepared images, an 8-bit array (image, channel, height, width)."""
    return Path(config.prepared_dir) / "images.npy"


def manifest(config: DictConfig) -> Path:
    """A table with one row per image, including those that could not be prepared."""
    return Path(config.prepared_dir) / "manifest.csv"


def training_set(config: DictConfig) -> Path:
    """Training images and labels, if the data set has any."""
    return Path(config.prepared_dir) / "training.npz"


def model_dir(config: DictConfig, network: str) -> Path:
    """Folder of a network's weights."""
    return Path(config.models_dir) / network


def results_dir(config: DictConfig) -> Path:
    """Folder of this cell's results."""
    return Path(config.results_dir)


def scores_dir(config: DictConfig, cell: str) -> Path:
    """Folder of a cell's scores."""
    return Path(config.experiment_dir) / "score" / cell


def attacks_dir(config: DictConfig, cell: str) -> Path:
    """Folder of a cell's adversarial distances."""
    return Path(config.experiment_dir) / "attack" / cell


def tables_dir(config: DictConfig) -> Path:
    """Folder of an experiment's tables."""
    return Path(config.experiment_dir) / "tables"


def metrics(config: DictConfig) -> Path:
    """The experiment's numbers for `dvc metrics`."""
    return Path(config.experiment_dir) / "metrics.json"


def figures_dir(config: DictConfig) -> Path:
    """Folder of an experiment's figures."""
    return Path(config.experiment_dir) / "figures"


def image_figures_dir(config: DictConfig) -> Path:
    """Folder of figures that show images which may not be published with the results."""
    return Path(config.experiment_dir) / "sheets"


def store_dir(config: DictConfig) -> Path:
    """Root of the store: batch maxima, adversarial distances, trained weights, progress records."""
    return Path(config.store_dir)


def require_output(path: Path, stage: str, options: str = "", how: str = "") -> Path:
    """Return the path; `InputError` naming the stage and options that create it if it does not exist."""
    if not path.exists():
        command = f"python -m pipeline.{stage}{options}"
        raise InputError(f"{path} does not exist: run `dvc repro {stage}` or `{command}`{how} first")
    return path


def read_run_record(folder: Path, stage: str, options: str = "") -> dict[str, Any]:
    """The run record (run.json) of a cell; `InputError` if it does not exist."""
    content: dict[str, Any] = json.loads(require_output(folder / "run.json", stage, options).read_text())
    return content


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: to a temporary file in the same folder, flushed to disk and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_writable(*folders: Path) -> None:
    """Fail early: `OSError` for a folder that cannot be written to, `InputError` for a path that is a file."""
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: results_dir and store_dir must be folders")
        probe = folder / f".writable.{uuid.uuid4().hex}"
        write_atomically(probe, lambda file: file.write(b"x"))
        probe.unlink()


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON."""
    write_text(path, json.dumps(content, indent=2) + "\n")
