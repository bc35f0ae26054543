"""Export of scores as JSON, with the schema ``clever/scores.schema.json``.

A document has a ``format``, a ``version``, the ``run`` record and the ``scores``. JSON has neither NaN nor infinity:
NaN (unknown) becomes null and infinity becomes the text "Infinity". A version may gain properties; incompatible changes
get a new version.
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
"""Version of the schema."""


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a document."""
    parsed: dict[str, Any] = json.loads((files("clever") / "scores.schema.json").read_text("utf-8"))
    return parsed


def document(scores: Sequence[Mapping[str, object]], run: Mapping[str, object]) -> dict[str, object]:
    """A document of the `score_fields` of each score and the run record, ready for `json.dumps`."""
    return {"format": FORMAT, "version": VERSION, "run": json_value(run), "scores": json_value(list(scores))}


def score_fields(score: Score) -> dict[str, object]:
    """The fields of a score without its maxima; the end point and the diagnostics are nested objects."""
    return {name: value for name, value in asdict(score).items() if name != "maxima"}


def run_record(
    network: nn.Module,
    images: Tensor,
    settings: Settings,
    targets: Sequence[str | int],
    norms: Sequence[str],
    order: Order,
) -> dict[str, object]:
    """The record of everything that determines the scores of a call."""
    call = {"targets": list(targets), "norms": list(norms), "order": repr(order)}
    return {"versions": versions(), "settings": vars(settings)} | call | network_record(network, images)


def network_record(network: nn.Module, images: Tensor) -> dict[str, object]:
    """The record of versions, network (with the sha256 of its weights), defense, images, device and dtype."""
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
    """Versions of this library ("unknown" if it is not installed), torch, numpy, scipy and Python."""
    try:
        ours = version("clever-robustness")
    except PackageNotFoundError:
        ours = "unknown"
    others = {"torch": torch.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
    return {"clever-robustness": ours, **others, "python": platform.python_version()}


def weights_sha256(network: nn.Module) -> str:
    """The sha256 of names, dtypes, shapes and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def json_value(value: object) -> object:
    """Convert to a value that JSON supports: NaN becomes null, infinity a text, and any other type its str()."""
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(value) if math.isfinite(value) else f"{'-' * (value < 0)}Infinity"
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
