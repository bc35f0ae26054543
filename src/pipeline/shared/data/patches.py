"""Quilting with patches of the prepared training images."""

from pathlib import Path

import numpy as np
import torch

from clever.defenses.expectation import Expectation
from clever.defenses.quilting import PatchBank, Quilting
from clever.errors import InputError


def quilting(
    training: str, size: int, count: int, overlap: int, neighbours: int, draws: int | None, seed: int
) -> Quilting | Expectation:
    """The quilting defense, or with ``draws`` its mean over that many draws.

    The patch bank depends only on the training images and the settings, so every process builds the same one.
    `InputError` if there are no training images.
    """
    path = Path(training)
    if not path.is_file():
        raise InputError(
            f"quilting needs training images, but {path} does not exist: run prepare with a data set that has some "
            "(digits, torchvision's sets), or set defense.training to another .npz file with images"
        )
    with np.load(path) as file:
        if "images" not in file or file["images"].dtype != np.uint8:
            raise InputError(f"{path} contains {', '.join(file) or 'nothing'}: it must contain 8-bit images")
        images = torch.from_numpy(file["images"])
    bank = PatchBank.of(images, size, count, seed)
    defense = Quilting(PatchBank(bank.patches.float().div(255)), overlap=overlap, neighbours=neighbours, seed=seed)
    return defense if draws is None else Expectation(defense, draws)
