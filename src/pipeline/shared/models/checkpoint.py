"""A network's weights in a file of somebody's, read without running any code of the file's."""

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
"""Keys that an error message names."""
NUMPY_SCALARS: list[Any] = [
    (multiarray.scalar, "numpy._core.multiarray.scalar"),
    (multiarray.scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
]
"""What torch does not allow by itself and checkpoints often hold beside the weights, such as the best accuracy so far;
these make numbers and run nothing. Whatever else torch refuses stays refused."""


def load_state(path: Path, key: str | None = None, prefix: str | None = None) -> dict[str, Tensor]:
    """The state_dict in a file of torch's or, by its suffix or its content, of safetensors'.

    ``key``: where in a checkpoint it lies. ``prefix``: what to take off every parameter's name. `InputError` where the
    file cannot be read safely, or has no such key, or names without that prefix.
    """
    content = _safetensors(path, key) if _is_safetensors(path) else _torch(path)
    state = content if key is None else _part(path, content, key)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state_dict of tensors{_within(key)}, but {_told(state)}")
    if prefix:
        if others := [name for name in state if not name.startswith(prefix)]:
            raise InputError(
                f"weights.prefix={prefix}, but {len(others)} of the {len(state)} names in {path} do not begin so: "
                f"{_first(others)}"
            )
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def check_architecture(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """`InputError` with the first differing names and shapes where the weights are those of another architecture."""
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    # Files older than this counter of training steps are torch's to complete.
    missing = [name for name in own.keys() - state.keys() if not name.endswith("num_batches_tracked")]
    surplus = list(state.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(state[name].shape)} there and {own[name]} in the network"
        for name in own
        if name in state and tuple(state[name].shape) != own[name]
    ]
    if not missing and not surplus and not shapes:
        return
    differing = [
        *([f"the network's {_first(_in_order(missing, own))} not there"] if missing else []),
        *([f"{_first(_in_order(surplus, state))} not in the network"] if surplus else []),
        *islice(shapes, SHOWN),
    ]
    count = len(missing) + len(surplus) + len(shapes)
    raise InputError(
        f"the weights of {origin} are not those of {type(network).__name__}: {'; '.join(differing)} "
        f"({count} differences; nothing was loaded){_hint(own, state)}"
    )


def _torch(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is none of torch's makes the reader raise nearly anything
        # torch goes on with advice to load without the check, which a reader of this message should not follow
        reason = (str(error).partition("WeightsUnpickler error: ")[2] or repr(error)).partition("Please use")[0]
        raise InputError(f"{path} holds no state_dict that can be loaded safely: {reason.strip()}") from error


def _is_safetensors(path: Path) -> bool:
    """A download may have any name: behind the eight bytes of its length a file of safetensors has a header in JSON."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _safetensors(path: Path, key: str | None) -> dict[str, Tensor]:
    if key is not None:
        raise InputError(
            f"weights.key={key}, but {path} is of safetensors, which hold tensors alone: leave the key out"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is no file of safetensors: {error}") from error


def _part(path: Path, content: object, key: str) -> object:
    if not isinstance(content, Mapping) or key not in content:
        raise InputError(f"weights.key={key}, but {path} has no such key: it holds {_told(content)}")
    return content[key]


def _within(key: str | None) -> str:
    return f" under {key}" if key else ""


def _told(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    inner = [str(name) for name, value in content.items() if isinstance(value, Mapping)]
    hint = f" (weights.key={inner[0]} takes what lies under {inner[0]})" if inner else ""
    return f"a dictionary of {_first([str(name) for name in content]) or 'nothing'}{hint}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _in_order(names: list[str], order: Mapping[str, object]) -> list[str]:
    place = {name: number for number, name in enumerate(order)}
    return sorted(names, key=place.__getitem__)


def _hint(own: Mapping[str, object], state: Mapping[str, Tensor]) -> str:
    """The setting that would do, where all names of the file only have something in front."""
    first, dot, _ = next(iter(state)).partition(".")
    bare = {name.removeprefix(first + dot) for name in state}
    return f"; with weights.prefix={first}{dot} they would be" if bare == own.keys() else ""
