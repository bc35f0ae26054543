"""Where everything lies: the only place that maps a configuration to a path."""

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
"""Weights published with the project."""
RESULTS = Path("results")
CELL_STAGES = ("score", "attack")
"""Those that are one Hydra multirun, a job a cell."""


def fill_in_paths(config: DictConfig, stage: str, cell: str | None = None) -> None:
    """Fills in what the command line left open: the cell's name and the folders that the run reads and writes.

    ``cell``: a cell of the experiment; by default this job's own, if the stage has one job a cell.
    """
    name = experiment()
    cell = cell or config.cell or (job_cell_name() if stage in CELL_STAGES else "all")
    whole = name and config.shards == 1  # a shard fills the store; its part of the table is no result
    folder = f"{RESULTS}/{name or 'ad_hoc'}" if config.experiment_dir is None else config.experiment_dir
    places = {
        "cell": cell,
        "prepared_dir": f"data/prepared/{data_set()}",
        "models_dir": f"models/{name or 'ad_hoc'}",
        "experiment_dir": folder,
        "results_dir": f"{folder}/{stage}/{cell}" if whole else output_dir(),
    }
    for key, value in places.items():
        if config[key] is None:
            config[key] = value


def experiment_dir(config: DictConfig, name: str) -> Path:
    """The folder of an experiment's results: of this run's own the one that it names, of another ``results/<name>``."""
    return Path(config.experiment_dir) if name == experiment() else RESULTS / name


def images(config: DictConfig) -> Path:
    """The prepared images, an array (image, channel, height, width) of 8-bit numbers."""
    return Path(config.prepared_dir) / "images.npy"


def manifest(config: DictConfig) -> Path:
    """A row for each prepared image, and for each that could not be prepared."""
    return Path(config.prepared_dir) / "manifest.csv"


def training_set(config: DictConfig) -> Path:
    """Images and labels to train on, where the data set has some."""
    return Path(config.prepared_dir) / "training.npz"


def model_dir(config: DictConfig, network: str) -> Path:
    """The folder of a network's weights."""
    return Path(config.models_dir) / network


def results_dir(config: DictConfig) -> Path:
    """The folder of this cell's results."""
    return Path(config.results_dir)


def scores_dir(config: DictConfig, cell: str) -> Path:
    """The folder of a cell's scores."""
    return Path(config.experiment_dir) / "score" / cell


def attacks_dir(config: DictConfig, cell: str) -> Path:
    """The folder of a cell's adversarial distances."""
    return Path(config.experiment_dir) / "attack" / cell


def tables_dir(config: DictConfig) -> Path:
    """The folder of an experiment's tables."""
    return Path(config.experiment_dir) / "tables"


def metrics(config: DictConfig) -> Path:
    """The experiment's numbers for `dvc metrics`."""
    return Path(config.experiment_dir) / "metrics.json"


def figures_dir(config: DictConfig) -> Path:
    """The folder of an experiment's figures."""
    return Path(config.experiment_dir) / "figures"


def image_figures_dir(config: DictConfig) -> Path:
    """The folder of pictures that are not published with an experiment, since its images are others'."""
    return Path(config.experiment_dir) / "sheets"


def store_dir(config: DictConfig) -> Path:
    """The store of what is expensive: batch maxima, adversarial distances, trained weights; and reports on progress."""
    return Path(config.store_dir)


def require_output(path: Path, stage: str, options: str = "", how: str = "") -> Path:
    """The path, if it is there; `InputError` with the stage that makes it, and its options, if not."""
    if not path.exists():
        command = f"python -m pipeline.{stage}{options}"
        raise InputError(f"{path} is not there: run `dvc repro {stage}` or `{command}`{how} first")
    return path


def read_run_record(folder: Path, stage: str, options: str = "") -> dict[str, Any]:
    """What a cell's run of the stage left in run.json; `InputError` as `needed` has it."""
    content: dict[str, Any] = json.loads(require_output(folder / "run.json", stage, options).read_text())
    return content


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """The file appears at once and whole, or not at all: written beside its place, flushed to disk, renamed."""
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
    """`OSError` now, and not after long work, for a folder that cannot be written to; `InputError` for a file."""
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: results and store need folders (results_dir, store_dir)")
        probe = folder / f".writable.{uuid.uuid4().hex}"
        write_atomically(probe, lambda file: file.write(b"x"))
        probe.unlink()


def write_text(path: Path, text: str) -> None:
    """UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Indented JSON, as a diff likes it."""
    write_text(path, json.dumps(content, indent=2) + "\n")
