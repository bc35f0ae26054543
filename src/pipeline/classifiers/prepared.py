"""What the stage prepare left, as the later stages read it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from clever.errors import InputError
from pipeline import artifacts


@dataclass(frozen=True)
class Prepared:
    """The prepared images, mapped into memory, and the manifest's row of each."""

    pixels: NDArray[np.uint8]
    manifest: pd.DataFrame

    @classmethod
    def read(cls) -> "Prepared":
        """From data/prepared; `InputError` where the stage has not run."""
        manifest = pd.read_csv(artifacts.needed(artifacts.MANIFEST, "prepare"), dtype={"id": str})
        kept = manifest[manifest.sha256.notna()].reset_index(drop=True)
        pixels = np.load(artifacts.needed(artifacts.IMAGES, "prepare"), mmap_mode="r")
        if len(pixels) != len(kept):
            raise InputError(f"{len(pixels)} images but {len(kept)} rows in {artifacts.MANIFEST}: run prepare again")
        return cls(pixels, kept)

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
                    f"image {self.manifest.id[row]} in {artifacts.IMAGES} is not the one that {artifacts.MANIFEST} "
                    "describes by its sha256: the file was changed, run `dvc repro prepare` or `python -m "
                    "pipeline.prepare` again"
                )
        return torch.from_numpy(pixels).float().div_(255)
