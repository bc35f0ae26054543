"""Reading the output of the stage prepare."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from clever.errors import InputError
from pipeline.shared.app import artifacts
from pipeline.shared.text.differing import differences, summarize_differences
from pipeline.shared.text.recorded import group_to_record

LOCATION_SETTINGS = ("root", "download")
"""Settings of ``data`` that only say where a data set is stored."""


@dataclass(frozen=True)
class Prepared:
    """The prepared images (memory-mapped) and their rows of the manifest."""

    pixels: NDArray[np.uint8]
    manifest: pd.DataFrame
    source: Path

    @classmethod
    def read(cls, config: DictConfig) -> "Prepared":
        """Read the prepared images; `InputError` if they are missing or were prepared with other settings."""
        hint = " with the data of this run"
        path = artifacts.require_output(artifacts.images(config), "prepare", how=hint)
        _check_settings(config, artifacts.require_output(settings_path(config), "prepare", how=hint))
        manifest = pd.read_csv(
            artifacts.require_output(artifacts.manifest(config), "prepare", how=hint), dtype={"id": str}
        )
        manifest = manifest[manifest.sha256.notna()].reset_index(drop=True)
        pixels = np.load(path, mmap_mode="r")
        if len(pixels) != len(manifest):
            raise InputError(f"{path} has {len(pixels)} images, but its manifest {len(manifest)}: run prepare again")
        return cls(pixels, manifest, path)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true class of each image."""
        labels: NDArray[np.int64] = self.manifest.label.to_numpy(dtype=np.int64)
        return labels

    def images(self, rows: Sequence[int] | NDArray[np.int64]) -> Float[Tensor, "image channel height width"]:
        """The images of these rows, as floating point numbers in [0,1].

        `InputError` if an image does not match its sha256 in the manifest.
        """
        pixels = self.pixels[np.asarray(rows, dtype=np.int64)]
        for row, image in zip(rows, pixels, strict=True):
            if hashlib.sha256(image.tobytes()).hexdigest() != self.manifest.sha256[row]:
                raise InputError(
                    f"image {self.manifest.id[row]} in {self.source} does not match its sha256 in the manifest: the "
                    "file was changed; run `dvc repro prepare` or `python -m pipeline.prepare` again"
                )
        return torch.from_numpy(pixels).float().div_(255)


def settings_path(config: DictConfig) -> Path:
    """The file with the settings that the images were prepared with."""
    return artifacts.manifest(config).with_name("about.json")


def data_settings(config: DictConfig) -> dict[str, Any]:
    """The settings that determine the prepared images and training images; of paths, only the file name.

    The seed is omitted if the images are listed by id.
    """
    data = {
        name: PurePath(value).name if isinstance(value, str) else value
        for name, value in group_to_record(config.data, LOCATION_SETTINGS).items()
    }
    return {"data": data, "seed": config.seed if data.get("ids") is None else None}


def _check_settings(config: DictConfig, path: Path) -> None:
    recorded = json.loads(path.read_text())
    settings = data_settings(config)
    differing = [text for name, value in settings.items() for text in differences(name, value, recorded.get(name))]
    if differing:
        seed = "; sampling.seed changes only the points" if differing[-1].startswith("seed ") else ""
        raise InputError(
            f"the images of {path} were prepared with other settings ({summarize_differences(differing)}): run prepare "
            f"again with the settings of this run, or this stage with those of prepare{seed}"
        )
