"""Quilting with patches of the training images that the stage prepare left."""

from pathlib import Path

import numpy as np
import torch

from clever.defenses.expectation import Expectation
from clever.defenses.quilting import PatchBank, Quilting
from clever.errors import InputError


def quilting(
    training: str, size: int, count: int, overlap: int, neighbours: int, draws: int | None, seed: int
) -> Quilting | Expectation:
    """The defense of a configuration: a function of the training images and the settings, so that each process makes
    the same bank. With ``draws``, the mean over so many. `InputError` where the data set has no training images.
    """
    path = Path(training)
    if not path.is_file():
        raise InputError(
            f"no patch bank without training images: {path} is not there. Run the stage prepare, with data that has "
            "some to train on (digits and torchvision's sets do), or give defense.training another .npz with images"
        )
    with np.load(path) as file:
        if "images" not in file or file["images"].dtype != np.uint8:
            raise InputError(f"{path} holds {', '.join(file) or 'nothing'}: there must be 8-bit images in it")
        images = torch.from_numpy(file["images"])
    bank = PatchBank.of(images, size, count, seed)
    defense = Quilting(PatchBank(bank.patches.float().div(255)), overlap=overlap, neighbours=neighbours, seed=seed)
    return defense if draws is None else Expectation(defense, draws)
