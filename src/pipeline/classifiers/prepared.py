"""What the stage prepare left, as the later stages read it."""

from dataclasses import dataclass
from typing import Any

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

    def images(self, rows: Any) -> Float[Tensor, "image channel height width"]:
        """The images of these rows as floating point numbers in [0,1]."""
        return torch.from_numpy(np.array(self.pixels[rows])).float().div_(255)
