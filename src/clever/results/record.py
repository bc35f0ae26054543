"""Scores as JSON that other tools read, by the schema ``clever/scores.schema.json``.

A document has its ``format`` and version, the ``run``, and the ``scores``. JSON knows neither NaN nor infinity: NaN,
which says that a number is not known, is null; infinity is the text "Infinity". Properties may be added within a
version; whatever would make a reader of it wrong gets a new one.
"""

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from clever.bounds.first_order import Order
from clever.defenses.bpda import Defended
from clever.results.score import Score
from clever.settings import Settings

FORMAT = "clever-scores"
VERSION = 2
"""Of the schema."""


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) that every document follows."""
    found: dict[str, Any] = json.loads((files("clever") / "scores.schema.json").read_text("utf-8"))
    return found


def document(scores: Sequence[Mapping[str, object]], run: Mapping[str, object]) -> dict[str, object]:
    """What `score_fields` says of each, and the run, ready for `json.dumps`."""
    return {"format": FORMAT, "version": VERSION, "run": json_value(run), "scores": json_value(list(scores))}


def score_fields(score: Score) -> dict[str, object]:
    """The fields of a score without its maxima; the end point and the diagnostics are objects of their own."""
    return {name: value for name, value in asdict(score).items() if name != "maxima"}


def run_record(
    network: nn.Module,
    images: Tensor,
    settings: Settings,
    targets: Sequence[str | int],
    norms: Sequence[str],
    order: Order,
) -> dict[str, object]:
    """What decides the scores of a call: versions, settings, and the network by the sha256 of its weights."""
    asked = {"targets": list(targets), "norms": list(norms), "order": repr(order)}
    return {"versions": versions(), "settings": vars(settings)} | asked | network_record(network, images)


def network_record(network: nn.Module, images: Tensor) -> dict[str, object]:
    """Versions, the network by the sha256 of its weights, its defense, and what its images are like."""
    return {
        "versions": versions(),
        "network": {
            "class": type(network.network if isinstance(network, Defended) else network).__name__,
            "weights_sha256": weights_sha256(network),
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
        },
        "defense": repr(network.defense) if isinstance(network, Defended) else None,
        "bpda": isinstance(network, Defended) and network.transformation is not network.defense,
        "backward": repr(network.backward or "identity") if isinstance(network, Defended) else None,
        "images": {"count": len(images), "shape": list(images.shape[1:])},
        "device": str(images.device),
        "dtype": str(images.dtype).removeprefix("torch."),
    }


def versions() -> dict[str, str]:
    """Of this library, which is "unknown" where it is run without being installed, and of what it computes with."""
    try:
        ours = version("clever-robustness")
    except PackageNotFoundError:
        ours = "unknown"
    others = {"torch": torch.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
    return {"clever-robustness": ours, **others, "python": platform.python_version()}


def weights_sha256(network: nn.Module) -> str:
    """Of names, types, shapes and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def json_value(value: object) -> object:
    """The value as JSON can hold it: NaN as null, infinity as text."""
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(value) if math.isfinite(value) else f"{'-' * (value < 0)}Infinity"
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
