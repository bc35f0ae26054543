"""The store of adversarial distances: an attack that finished is never run again."""

from collections.abc import Callable
from pathlib import Path

import torch

from clever.attacks.search import Found
from pipeline.shared import kept


def found_by(store: Path, decided_by: dict[str, object], attack: Callable[[], Found]) -> tuple[Found, bool]:
    """What the attack finds, and whether the store had it already; the file's name is that of all that decides."""
    name = kept.name_of(decided_by)
    path = store / "attacks" / name[:2] / f"{name[2:]}.npz"
    arrays = kept.read(path, name) if path.exists() else None
    if arrays is not None:
        tensors = {of: torch.from_numpy(arrays[of]) for of in ("distance", "images", "rate", "unseen")}
        return Found(**tensors, forwards=int(arrays["forwards"]), backwards=int(arrays["backwards"])), True
    found = attack()
    kept.keep(path, name, {of: value.cpu() if torch.is_tensor(value) else value for of, value in vars(found).items()})
    return found, False
