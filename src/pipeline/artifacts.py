"""Where everything lies: the only place that maps a configuration to a path."""

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig

from clever.errors import InputError

PREPARED = Path("data/prepared")
MODELS = Path("models")
RESULTS = Path("results")

IMAGES = PREPARED / "images.npy"
MANIFEST = PREPARED / "manifest.csv"
TRAINING = PREPARED / "training.npz"
AGGREGATE = RESULTS / "aggregate"
FIGURES = RESULTS / "figures"
REPORT = RESULTS / "report.html"


def model_of(name: str) -> Path:
    """The folder of a network's weights."""
    return MODELS / name


def scores_of(cell: str) -> Path:
    """The folder of a cell's scores, as the pipeline writes and reads it."""
    return RESULTS / "score" / cell


def attacks_of(cell: str) -> Path:
    """The folder of a cell's adversarial distances, as the pipeline writes and reads it."""
    return RESULTS / "attack" / cell


def results_dir(config: DictConfig) -> Path:
    """The folder that a run of a cell writes to: the cell's under DVC, Hydra's own output folder otherwise."""
    return Path(config.results_dir)


def store(config: DictConfig) -> Path:
    """The store of what is expensive: batch maxima, adversarial distances, trained weights; and reports on progress."""
    return Path(config.store_dir)


def needed(path: Path, stage: str, how: str = "") -> Path:
    """The path, if it is there; `InputError` with the stage that makes it, if not."""
    if not path.exists():
        raise InputError(f"{path} is not there: run `dvc repro {stage}` or `python -m pipeline.{stage}`{how} first")
    return path


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


def writable(*folders: Path) -> None:
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
