"""Where a network's weights come from. Each kind gives a state_dict, checked before it is used."""

import inspect
import json
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from clever.checks import is_number, whole
from clever.errors import InputError
from clever.models import Normalize, any_logits_of
from pipeline.model import training as training_code
from pipeline.model.given import File
from pipeline.model.training import train
from pipeline.shared import kept
from pipeline.shared.classifier import sha256_of
from pipeline.shared.fingerprint import fingerprint

State = dict[str, Tensor]


class Published:
    """Those that come with the project, made by ``make weights``: the same numbers on every machine."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def state(self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path) -> State:
        """The weights; `InputError` where there are none for this network, or the file is not the one described."""
        about = self.path.with_suffix(".json")
        if not (self.path.is_file() and about.is_file()):
            there = ", ".join(sorted(path.stem for path in self.path.parent.glob("*.pt"))) or "none"
            raise InputError(
                f"weights=published, but there is no {self.path} with {about.name} beside it; published are {there}. "
                "Others: weights=trained, weights=torchvision, weights=file weights.path=... weights.sha256=..."
            )
        return File(str(self.path), json.loads(about.read_text())["sha256"]).state(
            network, normalize, training=training, store=store
        )


class Trained:
    """Trained here, on the training images that the stage prepare left."""

    def __init__(self, epochs: int, batch: int, learning_rate: float, seed: int) -> None:
        for name, value, least in (("epochs", epochs, 1), ("batch", batch, 1), ("seed", seed, 0)):
            whole(f"weights.{name}", value, least, 2**63 - 1)
        if not is_number(learning_rate) or not 0 < learning_rate < float("inf"):
            raise InputError(f"weights.learning_rate is {learning_rate!r}: it must be a positive number")
        self.epochs, self.batch, self.learning_rate, self.seed = epochs, batch, learning_rate, seed

    def state(self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path) -> State:
        """The trained weights; the store keeps them for the next run with the same images and settings."""
        if not training.exists():
            raise InputError(
                "weights=trained, but the data set offers no training images: choose weights=torchvision or "
                "weights=file weights.path=... weights.sha256=..."
            )
        decided_by = vars(self) | {
            "normalize": str(normalize),
            "torch": torch.__version__,
            "code": inspect.getsource(training_code),
            "network": fingerprint(network),
            "images": sha256_of(training),
        }
        name = kept.name_of(decided_by)
        path = store / "weights" / f"{name}.npz"
        arrays = kept.read(path, name) if path.exists() else None
        if arrays is not None:
            return {of: torch.from_numpy(array) for of, array in arrays.items()}
        trained = self._train(network, normalize, training)
        kept.keep(path, name, {of: tensor.numpy() for of, tensor in trained.items()})
        return trained

    def _train(self, network: nn.Module, normalize: Normalize, training: Path) -> State:
        with np.load(training) as arrays:
            images, labels = (torch.from_numpy(arrays[name]) for name in ("images", "labels"))
        if self.batch > len(images):
            raise InputError(f"weights.batch is {self.batch}, but there are {len(images)} training images")
        complete = nn.Sequential(normalize, network)
        classes = any_logits_of(complete.eval(), images[:1].float() / 255).shape[1]
        if int(labels.max()) >= classes:  # the images prepared may lack a class that these have
            raise InputError(f"images to train on have labels up to {labels.max()}, but the network {classes} outputs")
        train(
            complete,
            images.float().div_(255),
            labels,
            epochs=self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            seed=self.seed,
        )
        return network.state_dict()


class Torchvision:
    """Torchvision's weights by name, from its cache or downloaded, against the hash that the name carries."""

    def __init__(self, model: str, version: str) -> None:
        self.model, self.version = model, version

    def state(self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path) -> State:
        """The weights; `InputError` names the versions there are, or says why they cannot be had."""
        if self.model not in torchvision.models.list_models():
            raise InputError(f"weights.model is {self.model!r}: torchvision has weights for its own models only")
        known = torchvision.models.get_model_weights(self.model)
        if self.version not in known.__members__:
            raise InputError(f"{self.model} has no weights {self.version!r}: there are {', '.join(known.__members__)}")
        try:
            state: State = known[self.version].get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"torchvision's weights of {self.model} cannot be had: {error}. With a copy of the file elsewhere: "
                "weights=file weights.path=... weights.sha256=..."
            ) from error
        return state


class Random:
    """As the constructor leaves them: to measure speed and memory, not robustness."""

    def state(self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path) -> State:
        """The initial weights."""
        return network.state_dict()
