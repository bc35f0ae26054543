"""Where a network's weights come from. Each kind gives a state_dict, checked before it is used."""

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
    """Those that come with the project, made by ``make weights``: the same numbers on every machine."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def check(self, model: dict[str, Any]) -> None:
        """`InputError` where the weights were published for another network than these settings of ``model`` make.

        Its name may be another one.
        """
        here, there = ({**settings, "name": ""} for settings in (model, self._about().get("model", {})))
        if found := differences("model", here, there):
            raise InputError(
                f"{self.path} was published for another network ({summarize_differences(found)}): use the published "
                "settings, or weights=trained, or weights=file weights.path=... weights.sha256=..."
            )

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The weights; `InputError` where there are none for this network, or the file is not the one described."""
        return File(str(self.path), self._about()["sha256"]).state(
            network, normalize, training=training, store=store, device=device
        )

    def _about(self) -> dict[str, Any]:
        path = self.path.with_suffix(".json")
        if not (self.path.is_file() and path.is_file()):
            there = ", ".join(sorted(path.stem for path in self.path.parent.glob("*.pt"))) or "none"
            raise InputError(
                f"weights=published, but there is no {self.path} with {path.name} beside it; published are {there}. "
                "Others: weights=trained, weights=torchvision, weights=file weights.path=... weights.sha256=..."
            )
        about: dict[str, Any] = json.loads(path.read_text())
        return about


class Torchvision:
    """Torchvision's weights by name, from torch's cache or downloaded, against the hash that the name carries."""

    def __init__(self, model: str, version: str) -> None:
        self.model, self.version = model, version

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The weights; `InputError` names the versions there are, or says why they cannot be had."""
        if self.model not in torchvision.models.list_models():
            raise InputError(f"weights.model is {self.model!r}: torchvision has weights for its own models only")
        known = torchvision.models.get_model_weights(self.model)
        if self.version not in known.__members__:
            raise InputError(f"{self.model} has no weights {self.version!r}: there are {', '.join(known.__members__)}")
        url = known[self.version].url
        path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
        # The hash begins as the name ends; torch's own loader believes its cache unseen.
        return load_state(fetch(url, path.stem.rpartition("-")[2], path))


class Random:
    """As the constructor leaves them: to measure speed and memory, not robustness.

    ``seed``: by which `pipeline.shared.models.classifier.bare` has it draw them.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The initial weights."""
        return network.state_dict()
