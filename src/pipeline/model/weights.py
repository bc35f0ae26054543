"""Sources of weights. Each returns a state_dict, which is checked before use."""

import json
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from clever.classifier.wrappers import Normalize
from clever.errors import InputError
from pipeline.model.download import fetch
from pipeline.model.given import File
from pipeline.shared.models.checkpoint import load_state
from pipeline.shared.text.differing import differences, summarize_differences

State = dict[str, Tensor]


class Published:
    """Weights that come with the project (``make weights``), so that numbers agree on all machines."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def check(self, model: dict[str, Any]) -> None:
        """`InputError` if the weights were published for other ``model`` settings; the name may differ."""
        here, there = ({**settings, "name": ""} for settings in (model, self._about().get("model", {})))
        if differing := differences("model", here, there):
            raise InputError(
                f"{self.path} was published for another network ({summarize_differences(differing)}): use its "
                "settings, or weights=trained, or weights=file weights.path=... weights.sha256=..."
            )

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The weights; `InputError` if there are none for this network or the file does not match its record."""
        return File(str(self.path), self._about()["sha256"]).state(
            network, normalize, training=training, store=store, device=device
        )

    def _about(self) -> dict[str, Any]:
        path = self.path.with_suffix(".json")
        if not (self.path.is_file() and path.is_file()):
            names = ", ".join(sorted(path.stem for path in self.path.parent.glob("*.pt"))) or "none"
            raise InputError(
                f"weights=published, but {self.path} or {path.name} does not exist; published weights: {names}. "
                "Alternatives: weights=trained, weights=torchvision, weights=file weights.path=... weights.sha256=..."
            )
        about: dict[str, Any] = json.loads(path.read_text())
        return about


class Torchvision:
    """Torchvision's weights by name, from torch's cache or downloaded, verified by the hash in the file name."""

    def __init__(self, model: str, version: str) -> None:
        self.model, self.version = model, version

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The weights; `InputError` lists the available versions, or says why the download failed."""
        if self.model not in torchvision.models.list_models():
            raise InputError(f"weights.model is {self.model!r}: torchvision has weights for its own models only")
        versions = torchvision.models.get_model_weights(self.model)
        if self.version not in versions.__members__:
            raise InputError(
                f"{self.model} has no weights {self.version!r}: there are {', '.join(versions.__members__)}"
            )
        url = versions[self.version].url
        path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
        # The file name ends with the beginning of the hash; torch's own loader does not verify cached files.
        return load_state(fetch(url, path.stem.rpartition("-")[2], path))


class Random:
    """The initial weights of the constructor: to measure speed and memory, not robustness.

    ``seed``: used by `pipeline.shared.models.classifier.build_network`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The initial weights."""
        return network.state_dict()
