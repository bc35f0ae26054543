"""The store of adversarial distances: an attack that finished is never run again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from clever.attacks.search import Found
from pipeline.shared.store import kept


def load_or_attack(store: Path, key: dict[str, object], attack: Callable[[], Found]) -> tuple[Found, bool]:
    """What the attack finds, and whether the store had it already; the file is named by the hash of the ``key``."""
    name = kept.cache_key(key)
    path = store / "attacks" / name[:2] / f"{name[2:]}.npz"
    arrays = kept.load_verified(path, name) if path.exists() else None
    if arrays is not None:
        tensors = {of: torch.from_numpy(arrays[of]) for of in ("distance", "images", "rate", "unseen")}
        return Found(**tensors, forwards=int(arrays["forwards"]), backwards=int(arrays["backwards"])), True
    found = attack()
    written: dict[str, Any] = {
        of: value.cpu() if torch.is_tensor(value) else value for of, value in vars(found).items()
    }
    kept.save_verified(path, name, written)
    return found, False
