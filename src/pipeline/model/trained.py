"""Weights trained here, on the training images that the stage prepare left."""

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
    """The weights to begin with: as the network's ``constructor`` draws them by the training's seed, or ``glorot``."""

    CONSTRUCTOR = "constructor"
    GLOROT = "glorot"


@dataclass(frozen=True)
class Distillation:
    """Defensive distillation (Papernot et al. 2016) as Carlini and Wagner (2017) train it.

    ``start_epochs`` with the labels give the weights from which a teacher is trained with the labels and a student, the
    result, with the teacher's probabilities, both at ``temperature``. The student is used at temperature 1.
    """

    temperature: float
    start_epochs: int

    def __post_init__(self) -> None:
        require_int("weights.distillation.start_epochs", self.start_epochs, 1)


class Trained:
    """By a `Recipe`, of which the further settings are; the store keeps the weights, and until then the last epoch.

    ``hardening``: the perturbation that the network is trained against; None, and it sees the images as they are.
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
        """The weights, trained on the device; the same images, settings and kind of device give those of the store."""
        if not training.exists():
            raise InputError(
                "weights=trained, but the data set offers no training images: choose weights=torchvision or "
                "weights=file weights.path=... weights.sha256=..."
            )
        course = Course(normalize, training, store / "weights", self.compute, device, self.hardening)
        if self.initial is Initial.GLOROT:
            glorot(network, self.recipe.seed)
        if self.distillation is None:
            course.take(network, self.recipe, "train")
        else:
            start = replace(self.recipe, epochs=self.distillation.start_epochs)
            hot = replace(self.recipe, temperature=self.distillation.temperature)
            course.take(network, start, "train the start")
            teacher = deepcopy(network)
            course.take(teacher, hot, "train the teacher")
            course.take(network, hot, "train the student", teacher)
        return network.state_dict()


@dataclass
class Course:
    """Training on the images of one file, its results kept in the folder ``store``."""

    normalize: Normalize
    training: Path
    store: Path
    compute: Compute
    device: torch.device
    hardening: Perturbation | None = None

    def take(self, network: nn.Module, recipe: Recipe, told: str, teacher: nn.Module | None = None) -> None:
        """Fills the network, which stays on the CPU, with what the recipe makes of it by the labels or by a teacher."""
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
        name = kept.name_of(key)
        path = self.store / f"{name}.npz"
        arrays = kept.load_verified(path, name) if path.exists() else None
        if arrays is None:
            last = LastEpoch(path.with_name(f"{name}-epoch.npz"), name)
            with self.compute.arithmetic():
                self._train(network, recipe, told, teacher, last)
            kept.save_verified(path, name, {of: tensor.numpy() for of, tensor in network.state_dict().items()})
            last.path.unlink(missing_ok=True)
        else:
            network.load_state_dict({of: torch.from_numpy(array) for of, array in arrays.items()})

    def _train(
        self, network: nn.Module, recipe: Recipe, told: str, teacher: nn.Module | None, last: "LastEpoch"
    ) -> None:
        images, labels = self._images
        recipe.check(len(images))
        complete = self._there(network)
        classes = compute_logits(complete, images[:1]).shape[1]
        if int(labels.max()) >= classes:  # the images prepared may lack a class that these have
            raise InputError(f"images to train on have labels up to {labels.max()}, but the network {classes} outputs")
        if teacher:
            labels = probabilities(self._there(teacher), images, recipe.temperature)
        computed = self.compute.applied(complete)
        trained = Hardened(computed, self.hardening) if self.hardening else computed
        train(trained, images, labels, recipe, last, told)
        result = computed.network if isinstance(computed, Computed) else complete
        network.load_state_dict(result.get_submodule("1").state_dict())

    def _there(self, network: nn.Module) -> nn.Sequential:
        """A copy on the device, behind the normalisation: what is given, the normalisation too, stays where it is."""
        return deepcopy(nn.Sequential(self.normalize, network)).eval().to(self.device)

    @cached_property
    def _images(self) -> tuple[Tensor, Tensor]:
        with np.load(self.training) as arrays:
            images, labels = (torch.from_numpy(arrays[name]) for name in ("images", "labels"))
        return images.to(self.device).float().div_(255), labels.to(self.device)


@dataclass(frozen=True)
class LastEpoch:
    """The state of a training after its last epoch, in one file of the store (`pipeline.model.training.Snapshot`)."""

    path: Path
    name: str

    def read(self) -> dict[str, Any] | None:
        """As it was kept; None where there is nothing, or nothing that can be trusted."""
        arrays = kept.load_verified(self.path, self.name) if self.path.exists() else None
        return None if arrays is None else torch.load(io.BytesIO(arrays["state"].tobytes()), weights_only=True)

    def keep(self, state: dict[str, Any]) -> None:
        """In the place of the epoch before."""
        content = io.BytesIO()
        torch.save(state, content)
        kept.save_verified(self.path, self.name, {"state": np.frombuffer(content.getvalue(), np.uint8)})


def glorot(network: nn.Module, seed: int) -> None:
    """Initial weights uniform within sqrt(6 / (inputs + outputs)), no biases (Glorot and Bengio 2010); Keras's."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
