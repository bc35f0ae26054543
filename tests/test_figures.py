"""Figures of images, as they come out."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.figures import adversaries, images


def colourless(path: Path) -> bool:
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int(np.ptp(pixels, axis=2).max()) == 0


def test_grey_images_are_drawn_in_grey(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).random((2, 1, 12, 12), dtype=np.float32)
    about = {"id": np.array(["a", "b"]), "class_name": np.array(["one", "two"])}
    images.draw(tmp_path, {"identity": about | {"original": grey, "defended": grey}})
    found = {"original": grey[0], "defended": grey[0], "L2 top2": grey[1]}
    adversaries.draw(tmp_path, {"identity": found}, {"identity": "an image"}, "top2")
    assert colourless(tmp_path / "images.png")
    assert colourless(tmp_path / "adversaries.png")
