"""The store of adversarial distances, so that no finished attack is run again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from clever.attacks.search import Found
from pipeline.shared.store import kept


def load_or_attack(store: Path, key: dict[str, object], attack: Callable[[], Found]) -> tuple[Found, bool]:
    """The attack's result, and whether it was read from the store; the file name is the hash of the cache ``key``."""
    name = kept.cache_key(key)
    path = store / "attacks" / name[:2] / f"{name[2:]}.npz"
    arrays = kept.load_verified(path, name) if path.exists() else None
    if arrays is not None:
        tensors = {field: torch.from_numpy(arrays[field]) for field in ("distance", "images", "rate", "unseen")}
        return Found(**tensors, forwards=int(arrays["forwards"]), backwards=int(arrays["backwards"])), True
    result = attack()
    saved: dict[str, Any] = {
        field: value.cpu() if torch.is_tensor(value) else value for field, value in vars(result).items()
    }
    kept.save_verified(path, name, saved)
    return result, False
