"""Stage prepare: writes the images of a data set as 8-bit pixels at the network's input size, and a manifest."""

import hashlib
from typing import IO

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm.auto import tqdm

from clever.errors import InputError
from pipeline.prepare.preprocess import BrokenImage
from pipeline.prepare.source import Candidate, Pixels, Source
from pipeline.shared.app import artifacts
from pipeline.shared.data.prepared import data_settings, settings_path


def run(config: DictConfig) -> None:
    """Writes images.npy (image, channel, height, width), manifest.csv, about.json (the settings that these depend on),
    and training.npz if the data set has training images.

    A broken image is skipped, listed in the manifest with the reason, and replaced by the next image.
    """
    source: Source = instantiate(config.data)
    if source.n_images < 1:
        raise InputError(f"data.n_images is {source.n_images}: prepare at least one image")
    rows: list[dict[str, object]] = []
    settings_path(config).unlink(missing_ok=True)  # so that an interrupted run leaves no valid output
    artifacts.write_atomically(artifacts.images(config), lambda file: _write(file, source, config.seed, rows))
    artifacts.write_text(artifacts.manifest(config), pd.DataFrame(rows).to_csv(index=False))
    training = source.training(config.seed)
    if training is None:
        artifacts.training_set(config).unlink(missing_ok=True)
    else:
        x, y = training
        artifacts.write_atomically(artifacts.training_set(config), lambda file: np.savez(file, images=x, labels=y))
    artifacts.write_json(settings_path(config), data_settings(config))


def _write(file: IO[bytes], source: Source, seed: int, rows: list[dict[str, object]]) -> None:
    """Writes the images to a single array that can be memory-mapped, and adds a row of the manifest for each."""
    written = 0
    with tqdm(total=source.n_images, unit="image", desc="prepare") as bar:
        for candidate in source.candidates(seed):
            try:
                pixels = candidate.load()
            except (BrokenImage, OSError) as broken:
                bar.write(f"skipped {candidate.source}: {broken}")
                rows.append(_row(candidate, None, str(broken)))
                continue
            if not written:
                header = {"descr": "|u1", "fortran_order": False, "shape": (source.n_images, *pixels.shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(pixels.tobytes())
            rows.append(_row(candidate, pixels, ""))
            written += 1
            bar.update()
            if written == source.n_images:
                return
    raise InputError(
        f"data.n_images is {source.n_images}, but there are only {written} readable images: "
        f"{len(rows) - written} of {len(rows)} are broken"
    )


def _row(candidate: Candidate, pixels: Pixels | None, reason: str) -> dict[str, object]:
    return {
        "id": candidate.id,
        "label": candidate.label,
        "class_name": candidate.class_name,
        "source": candidate.source,
        "sha256": "" if pixels is None else hashlib.sha256(pixels.tobytes()).hexdigest(),
        "skipped": reason,
    }
