"""What the stage prepare left, as the later stages read it."""

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
"""Settings of ``data`` that say where a data set lies: it may move."""


@dataclass(frozen=True)
class Prepared:
    """The prepared images, mapped into memory, and the manifest's row of each."""

    pixels: NDArray[np.uint8]
    manifest: pd.DataFrame
    source: Path

    @classmethod
    def read(cls, config: DictConfig) -> "Prepared":
        """As the stage left them; `InputError` where it has not run, or not with the settings of this run."""
        of_data = " with the data of this run"
        path = artifacts.require_output(artifacts.images(config), "prepare", how=of_data)
        _check_settings(config, artifacts.require_output(settings_path(config), "prepare", how=of_data))
        manifest = pd.read_csv(
            artifacts.require_output(artifacts.manifest(config), "prepare", how=of_data), dtype={"id": str}
        )
        kept = manifest[manifest.sha256.notna()].reset_index(drop=True)
        pixels = np.load(path, mmap_mode="r")
        if len(pixels) != len(kept):
            raise InputError(f"{len(pixels)} images in {path}, but {len(kept)} rows beside it: run prepare again")
        return cls(pixels, kept, path)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true class of each image."""
        labels: NDArray[np.int64] = self.manifest.label.to_numpy(dtype=np.int64)
        return labels

    def images(self, rows: Sequence[int] | NDArray[np.int64]) -> Float[Tensor, "image channel height width"]:
        """The images of these rows as floating point numbers in [0,1].

        `InputError` for one that is not what the manifest says.
        """
        pixels = self.pixels[np.asarray(rows, dtype=np.int64)]
        for row, image in zip(rows, pixels, strict=True):
            if hashlib.sha256(image.tobytes()).hexdigest() != self.manifest.sha256[row]:
                raise InputError(
                    f"image {self.manifest.id[row]} in {self.source} is not the one that the manifest beside it "
                    "describes by its sha256: the file was changed, run `dvc repro prepare` or `python -m "
                    "pipeline.prepare` again"
                )
        return torch.from_numpy(pixels).float().div_(255)


def settings_path(config: DictConfig) -> Path:
    """The file that says with which settings the images were prepared."""
    return artifacts.manifest(config).with_name("about.json")


def data_settings(config: DictConfig) -> dict[str, Any]:
    """The settings that decide the prepared images, those to train on among them; of files that these name, the names.

    A list of ids leaves nothing to the seed.
    """
    data = {
        name: PurePath(value).name if isinstance(value, str) else value
        for name, value in group_to_record(config.data, LOCATION_SETTINGS).items()
    }
    return {"data": data, "seed": config.seed if data.get("ids") is None else None}


def _check_settings(config: DictConfig, path: Path) -> None:
    there = json.loads(path.read_text())
    found = [one for name, here in data_settings(config).items() for one in differences(name, here, there.get(name))]
    if found:
        seed = "; sampling.seed is that of the points alone" if found[-1].startswith("seed ") else ""
        raise InputError(
            f"the images beside {path} were prepared with other settings ({summarize_differences(found)}): run the stage prepare again "
            f"with those of this run, or this stage with those of prepare{seed}"
        )
