"""Weights trained on the prepared training images."""

import io
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clever._internal.checks import require_int
from clever._internal.choice import Choice
from clever.classifier.compute import Compute, Computed
from clever.classifier.wrappers import Normalize, compute_logits
from clever.errors import InputError
from pipeline.model.training import Recipe, probabilities, train
from pipeline.shared.models.classifier import sha256_of
from pipeline.shared.models.hardening import Hardened, Perturbation
from pipeline.shared.store import kept
from pipeline.shared.store.fingerprint import fingerprint
from pipeline.shared.store.number_versions import TRAINING_VERSION

State = dict[str, Tensor]


class Initial(Choice):
    """Initial weights: those of the network's ``constructor`` for the training seed, or ``glorot``."""

    CONSTRUCTOR = "constructor"
    GLOROT = "glorot"


@dataclass(frozen=True)
class Distillation:
    """Defensive distillation (Papernot et al. 2016), trained as by Carlini and Wagner (2017).

    ``start_epochs`` epochs on the labels give the common initial weights of a teacher, trained on the labels, and a
    student, trained on the teacher's probabilities, both at ``temperature``. The student is used at temperature 1.
    """

    temperature: float
    start_epochs: int

    def __post_init__(self) -> None:
        require_int("weights.distillation.start_epochs", self.start_epochs, 1)


class Trained:
    """Weights trained by the `Recipe` with the remaining arguments; weights and the last epoch are cached in the store.

    ``hardening``: the perturbation applied to training images, if any.
    """

    def __init__(
        self,
        *,
        initial: str,
        distillation: dict[str, Any] | None,
        compute: dict[str, Any],
        hardening: Perturbation | None = None,
        **recipe: Any,
    ) -> None:
        self.recipe, self.compute = Recipe(**recipe), Compute(**compute)
        self.initial, self.hardening = Initial.parse(initial), hardening
        self.distillation = None if distillation is None else Distillation(**distillation)

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> State:
        """The weights, trained on the device or read from the store for the same images, settings and device type."""
        if not training.exists():
            raise InputError(
                "weights=trained, but the data set has no training images: choose weights=torchvision or "
                "weights=file weights.path=... weights.sha256=..."
            )
        trainer = CachedTraining(normalize, training, store / "weights", self.compute, device, self.hardening)
        if self.initial is Initial.GLOROT:
            glorot(network, self.recipe.seed)
        if self.distillation is None:
            trainer.fit(network, self.recipe, "train")
        else:
            start = replace(self.recipe, epochs=self.distillation.start_epochs)
            hot = replace(self.recipe, temperature=self.distillation.temperature)
            trainer.fit(network, start, "train the start")
            teacher = deepcopy(network)
            trainer.fit(teacher, hot, "train the teacher")
            trainer.fit(network, hot, "train the student", teacher)
        return network.state_dict()


@dataclass
class CachedTraining:
    """Training on the images of a file, with results cached in the folder ``store``."""

    normalize: Normalize
    training: Path
    store: Path
    compute: Compute
    device: torch.device
    hardening: Perturbation | None = None

    def fit(self, network: nn.Module, recipe: Recipe, description: str, teacher: nn.Module | None = None) -> None:
        """Train the network, which stays on the CPU, on labels or a teacher's probabilities, or load cached weights."""
        key = {
            "recipe": fingerprint(recipe),
            "compute": repr(self.compute),
            "teacher": fingerprint(teacher) if teacher else "",
            "normalize": str(self.normalize),
            "torch": torch.__version__,
            "device": self.device.type,
            "hardening": fingerprint(self.hardening),
            "training_version": TRAINING_VERSION,
            "network": fingerprint(network),
            "images": sha256_of(self.training),
        }
        name = kept.cache_key(key)
        path = self.store / f"{name}.npz"
        arrays = kept.load_verified(path, name) if path.exists() else None
        if arrays is None:
            last = EpochFile(path.with_name(f"{name}-epoch.npz"), name)
            with self.compute.arithmetic():
                self._train(network, recipe, description, teacher, last)
            kept.save_verified(
                path, name, {parameter: tensor.numpy() for parameter, tensor in network.state_dict().items()}
            )
            last.path.unlink(missing_ok=True)
        else:
            network.load_state_dict({parameter: torch.from_numpy(array) for parameter, array in arrays.items()})

    def _train(
        self, network: nn.Module, recipe: Recipe, description: str, teacher: nn.Module | None, last: "EpochFile"
    ) -> None:
        images, labels = self._images
        recipe.check(len(images))
        complete = self._on_device(network)
        classes = compute_logits(complete, images[:1]).shape[1]
        if int(labels.max()) >= classes:  # training images may have classes that the prepared images lack
            raise InputError(f"training images have labels up to {labels.max()}, but the network has {classes} outputs")
        if teacher:
            labels = probabilities(self._on_device(teacher), images, recipe.temperature)
        computed = self.compute.applied(complete)
        trained = Hardened(computed, self.hardening) if self.hardening else computed
        train(trained, images, labels, recipe, last, description)
        result = computed.network if isinstance(computed, Computed) else complete
        network.load_state_dict(result.get_submodule("1").state_dict())

    def _on_device(self, network: nn.Module) -> nn.Sequential:
        """A copy of normalisation and network on the device; the originals stay where they are."""
        return deepcopy(nn.Sequential(self.normalize, network)).eval().to(self.device)

    @cached_property
    def _images(self) -> tuple[Tensor, Tensor]:
        with np.load(self.training) as arrays:
            images, labels = (torch.from_numpy(arrays[name]) for name in ("images", "labels"))
        return images.to(self.device).float().div_(255), labels.to(self.device)


@dataclass(frozen=True)
class EpochFile:
    """A `pipeline.model.training.Snapshot` in a file of the store."""

    path: Path
    name: str

    def load(self) -> dict[str, Any] | None:
        """The saved state; None if there is none or the file is damaged."""
        arrays = kept.load_verified(self.path, self.name) if self.path.exists() else None
        return None if arrays is None else torch.load(io.BytesIO(arrays["state"].tobytes()), weights_only=True)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state of the previous epoch."""
        content = io.BytesIO()
        torch.save(state, content)
        kept.save_verified(self.path, self.name, {"state": np.frombuffer(content.getvalue(), np.uint8)})


def glorot(network: nn.Module, seed: int) -> None:
    """Keras's initialisation: weights uniform in ±sqrt(6 / (inputs + outputs)) (Glorot, Bengio 2010), zero biases."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
