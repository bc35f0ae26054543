"""The store of adversarial distances: an attack that finished is never run again."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.artifacts import write_atomically
from pipeline.attacks import Found

FORMAT = 1
"""Of the files, to be raised when their content changes."""


def kept(store: Path, decided_by: dict[str, object], attack: Callable[[], Found]) -> tuple[Found, bool]:
    """What the attack finds, and whether the store had it already.

    The file's name is the hash of all that decides the result. It is there whole or not at all; one that is damaged is
    named and computed anew.
    """
    text = json.dumps(decided_by | {"format": FORMAT}, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()
    path = store / "attacks" / name[:2] / f"{name[2:]}.npz"
    if path.exists():
        try:
            return _read(path, name), True
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as broken:
            print(f"{path} cannot be used and is computed anew: {broken}", file=sys.stderr)
    found = attack()
    arrays = {"distance": found.distance.cpu().numpy(), "images": found.images.cpu().numpy()}
    passes = {"forwards": found.forwards, "backwards": found.backwards}
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, name=name, **arrays, **passes))
    return found, False


def _read(path: Path, name: str) -> Found:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        if str(file["name"]) != name:
            raise ValueError("it belongs to another attack")
        distance, images = (torch.from_numpy(file[name]) for name in ("distance", "images"))
        return Found(distance, images, int(file["forwards"]), int(file["backwards"]))
