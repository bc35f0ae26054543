"""Weights from files of unknown origin, read without running any code from the file."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from clever.errors import InputError

SHOWN = 3
"""Number of keys that an error message lists."""
NUMPY_SCALARS: list[Any] = [
    (multiarray.scalar, "numpy._core.multiarray.scalar"),
    (multiarray.scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
]
"""Types that torch does not allow by default, but checkpoints often contain, such as the best accuracy so far.

They only create numbers. Everything else that torch rejects stays rejected."""


def load_state(path: Path, key: str | None = None, prefix: str | None = None) -> dict[str, Tensor]:
    """Load a state_dict from a file of torch or safetensors, recognised by suffix or content.

    ``key``: the key of the state_dict in a checkpoint. ``prefix``: removed from every parameter name. `InputError` if
    the file cannot be read safely, lacks the key, or has names without the prefix.
    """
    content = _safetensors(path, key) if _is_safetensors(path) else _torch(path)
    state = content if key is None else _entry(path, content, key)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} contains no state_dict of tensors{_within(key)}, but {_describe(state)}")
    if prefix:
        if unprefixed := [name for name in state if not name.startswith(prefix)]:
            raise InputError(
                f"weights.prefix={prefix}, but {len(unprefixed)} of the {len(state)} names in {path} lack it: "
                f"{_first(unprefixed)}"
            )
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def check_architecture(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """`InputError` with the first differing names and shapes if the weights do not fit the network."""
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    # torch itself fills in this counter of training steps, which older files lack
    missing = [name for name in own.keys() - state.keys() if not name.endswith("num_batches_tracked")]
    unexpected = list(state.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the file and {own[name]} in the network"
        for name in own
        if name in state and tuple(state[name].shape) != own[name]
    ]
    if not missing and not unexpected and not shapes:
        return
    differing = [
        *([f"{_first(_in_order(missing, own))} missing in the file"] if missing else []),
        *([f"{_first(_in_order(unexpected, state))} not in the network"] if unexpected else []),
        *islice(shapes, SHOWN),
    ]
    count = len(missing) + len(unexpected) + len(shapes)
    raise InputError(
        f"the weights of {origin} do not fit {type(network).__name__}: {'; '.join(differing)} "
        f"({count} differences; nothing was loaded){_hint(own, state)}"
    )


def _torch(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another format can raise nearly any exception
        # cut off torch's advice to load without the safety check
        reason = (str(error).partition("WeightsUnpickler error: ")[2] or repr(error)).partition("Please use")[0]
        raise InputError(f"{path} contains no state_dict that can be loaded safely: {reason.strip()}") from error


def _is_safetensors(path: Path) -> bool:
    """Recognise safetensors by suffix, or for downloads of any name by the JSON header after eight bytes of length."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _safetensors(path: Path, key: str | None) -> dict[str, Tensor]:
    if key is not None:
        raise InputError(
            f"weights.key={key}, but {path} is a safetensors file, which has no keys: leave weights.key out"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is not a valid safetensors file: {error}") from error


def _entry(path: Path, content: object, key: str) -> object:
    if not isinstance(content, Mapping) or key not in content:
        raise InputError(f"weights.key={key}, but {path} has no such key: it contains {_describe(content)}")
    return content[key]


def _within(key: str | None) -> str:
    return f" under {key}" if key else ""


def _describe(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    inner = [str(name) for name, value in content.items() if isinstance(value, Mapping)]
    hint = f" (try weights.key={inner[0]})" if inner else ""
    return f"a dictionary of {_first([str(name) for name in content]) or 'nothing'}{hint}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _in_order(names: list[str], order: Mapping[str, object]) -> list[str]:
    position = {name: number for number, name in enumerate(order)}
    return sorted(names, key=position.__getitem__)


def _hint(own: Mapping[str, object], state: Mapping[str, Tensor]) -> str:
    """A suggested weights.prefix if removing it makes all names match."""
    first, dot, _ = next(iter(state)).partition(".")
    stripped = {name.removeprefix(first + dot) for name in state}
    return f"; they fit with weights.prefix={first}{dot}" if stripped == own.keys() else ""
