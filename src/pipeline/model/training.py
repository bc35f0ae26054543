"""Training of a network on labelled images, with a snapshot after each epoch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from clever._internal.checks import is_number, require_bool, require_int
from clever.classifier.wrappers import compute_logits, frozen
from clever.errors import InputError
from pipeline.model.optimisers import Nesterov, OneCycle
from pipeline.shared.models.networks.two_layer import TwoLayer

Labels = Int64[Tensor, " image"] | Float[Tensor, "image class"]
"""Class numbers, or a teacher's probabilities."""
EVALUATION_BATCH = 500
"""Images per batch in evaluation."""


@dataclass(frozen=True)
class Recipe:
    """Training hyperparameters; `InputError` if invalid.

    ``learning_rate``: the initial or the largest one, depending on the ``optimiser``. ``batch``: images per step; the
    remaining images of an epoch form a smaller batch with ``short_batch`` and are skipped without. ``shift``: maximal
    random translation of a batch in pixels. ``held_out``: number of images, the first ones, excluded from training.
    ``temperature``: T in the loss, the cross entropy of softmax(logits / T). ``curvature``: weight of a penalty, the
    mean over pairs of classes of the closed-form bound of the margin's curvature (`TwoLayer.curvatures`; Singla and
    Feizi 2020), for networks that have this bound.
    """

    epochs: int
    batch: int
    learning_rate: float
    seed: int
    optimiser: OneCycle | Nesterov
    short_batch: bool = False
    shift: int = 0
    held_out: int = 0
    temperature: float = 1.0
    curvature: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("seed", 0), ("shift", 0), ("held_out", 0)):
            require_int(f"weights.{name}", getattr(self, name), least, 2**63 - 1)
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            if not is_number(value) or not 0 < value < float("inf"):
                raise InputError(f"weights.{name} is {value!r}: it must be a positive number")
        if not is_number(self.curvature) or not 0 <= self.curvature < float("inf"):
            raise InputError(f"weights.curvature is {self.curvature!r}: it must be a number >= 0")
        require_bool("weights.short_batch", self.short_batch)
        if not isinstance(self.optimiser, OneCycle | Nesterov):
            raise InputError(f"weights.optimiser is {self.optimiser!r}: it must create a OneCycle or a Nesterov")

    def check(self, images: int) -> None:
        """`InputError` if there are too few images."""
        if self.held_out >= images:
            raise InputError(f"weights.held_out is {self.held_out}, but there are {images} training images")
        if self.batch > images - self.held_out:
            raise InputError(f"weights.batch is {self.batch}, but there are {images - self.held_out} training images")

    def steps(self, images: int) -> int:
        """Number of steps in an epoch with this number of training images."""
        return -(-images // self.batch) if self.short_batch else images // self.batch


class Snapshot(Protocol):
    """Storage of the training state after each epoch."""

    def load(self) -> dict[str, Any] | None:
        """The last saved state, if any."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Replace the previous state."""
        ...


def train(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    labels: Labels,
    recipe: Recipe,
    snapshot: Snapshot | None = None,
    description: str = "train",
) -> None:
    """Train the network on ``images`` in [0,1] and leave it in evaluation mode.

    ``network``, ``images`` and ``labels`` must be on the same device. ``description``: label of the progress bar.
    Guarantee: the result depends only on the arguments (and the GPU model), even if the training was killed and resumed
    from the snapshot.
    """
    recipe.check(len(images))
    held_out = recipe.held_out
    training = Training(network, recipe, recipe.steps(len(images) - held_out))
    steps = training.steps
    with torch.random.fork_rng(training.gpus), _deterministic():
        torch.manual_seed(recipe.seed)  # dropout draws from the global generator
        done = training.restore(snapshot.load() if snapshot else None)
        with tqdm(total=recipe.epochs * steps, initial=done * steps, unit="step", desc=description) as bar:
            for epoch in range(done, recipe.epochs):
                loss = training.epoch(images[held_out:], labels[held_out:], bar.update)
                if snapshot:
                    snapshot.save(training.state(epoch + 1))
                status = {"loss": f"{loss:.3g}"}
                if held_out and labels.ndim == 1:
                    status["held-out accuracy"] = (
                        f"{training_accuracy(network, images[:held_out], labels[:held_out]):.2%}"
                    )
                bar.set_postfix(status, refresh=False)
    network.eval()


class Training:
    """The state of a training: network, optimiser, schedule and random generators."""

    def __init__(self, network: nn.Module, recipe: Recipe, steps: int) -> None:
        self.network, self.recipe, self.steps = network, recipe, steps
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.gpus = sorted({parameter.get_device() for parameter in network.parameters() if parameter.is_cuda})
        self.optimiser, self.schedule = recipe.optimiser.build(
            network.parameters(), recipe.learning_rate, recipe.epochs * steps
        )

    def epoch(self, images: Tensor, labels: Labels, on_step: Callable[[], object]) -> float:
        """Train for one epoch in a new random order; returns the loss of the last batch."""
        self.network.train()
        for rows in self._batches(len(images), images.device):
            logits = self.network(self._shifted(images[rows]))
            loss = cross_entropy(logits / self.recipe.temperature, labels[rows])
            if self.recipe.curvature:
                loss = loss + self.recipe.curvature * TwoLayer.of(self.network).largest_curvatures().mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            on_step()
        return loss.item()

    def state(self, done: int) -> dict[str, Any]:
        """The state after ``done`` epochs."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule")}
        generators = {"generator": self.generator.get_state(), "global_generator": torch.get_rng_state()}
        generators |= {f"gpu_generator_{gpu}": torch.cuda.get_rng_state(gpu) for gpu in self.gpus}
        return {"done": done, **parts, **generators}

    def restore(self, state: dict[str, Any] | None) -> int:
        """Restore a state; returns the number of completed epochs."""
        if state is None:
            return 0
        for name in ("network", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global_generator"])
        for gpu in self.gpus:
            torch.cuda.set_rng_state(state[f"gpu_generator_{gpu}"], gpu)
        return int(state["done"])

    def _batches(self, images: int, device: torch.device) -> Iterator[Int64[Tensor, " row"]]:
        order = torch.randperm(images, generator=self.generator).to(device)
        yield from order[: self.steps * self.recipe.batch].split(self.recipe.batch)

    def _shifted(self, images: Tensor) -> Tensor:
        shift = self.recipe.shift
        if not shift:
            return images
        down, right = torch.randint(-shift, shift + 1, (2,), generator=self.generator).tolist()
        return images.roll((down, right), dims=(2, 3))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Context in which convolutions on a GPU are deterministic."""
    before, torch.backends.cudnn.deterministic = torch.backends.cudnn.deterministic, True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def training_accuracy(network: nn.Module, images: Tensor, labels: Int64[Tensor, " image"]) -> float:
    """Accuracy of the network in evaluation mode."""
    return float((logits_of_all(network, images).argmax(1) == labels).float().mean())


def logits_of_all(network: nn.Module, images: Tensor) -> Float[Tensor, "image class"]:
    """Logits in evaluation mode, computed in batches."""
    with frozen(network):
        return torch.cat([compute_logits(network, batch) for batch in images.split(EVALUATION_BATCH)])


def probabilities(teacher: nn.Module, images: Tensor, temperature: float) -> Float[Tensor, "image class"]:
    """softmax(logits / T), the training labels of a student."""
    return torch.softmax(logits_of_all(teacher, images) / temperature, 1)
