"""Training of a network on labelled images, kept after each epoch."""

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
"""Classes, or a teacher's probabilities."""
TOGETHER = 500
"""Images that are classified at once."""


@dataclass(frozen=True)
class Recipe:
    """How to train. Checked when made: `InputError`.

    ``learning_rate``: the first one, or the largest, as the ``optimiser`` has it. ``batch``: images a step; the last
    ones of an epoch make a smaller batch with ``short_batch`` and are left out without. ``shift``: pixels by which a
    batch is moved at random, so that the network does not learn positions. ``held_out``: so many images, the first
    ones, are not trained on. ``temperature``: T, the loss is the cross entropy of softmax(logits / T). ``curvature``:
    times the mean, over pairs of classes, of the closed bound of the margin's curvature is added to the loss
    (`TwoLayer.curvatures`; Singla and Feizi 2020), for the networks that have one.
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
            raise InputError(f"weights.optimiser is {self.optimiser!r}: it must make a OneCycle or a Nesterov")

    def check(self, images: int) -> None:
        """`InputError` where there are too few images for it."""
        if self.held_out >= images:
            raise InputError(f"weights.held_out is {self.held_out}, but there are {images} training images")
        if self.batch > images - self.held_out:
            raise InputError(f"weights.batch is {self.batch}, but there are {images - self.held_out} training images")

    def steps(self, images: int) -> int:
        """Of an epoch with so many images to train on."""
        return -(-images // self.batch) if self.short_batch else images // self.batch


class Snapshot(Protocol):
    """Where the state of a training is kept after each epoch."""

    def read(self) -> dict[str, Any] | None:
        """The last state kept; None where there is none."""
        ...

    def keep(self, state: dict[str, Any]) -> None:
        """In the place of the one before."""
        ...


def train(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    labels: Labels,
    recipe: Recipe,
    snapshot: Snapshot | None = None,
    told: str = "train",
) -> None:
    """Trains the network, ``images`` in [0,1], and leaves it in evaluation mode.

    ``network``, ``images`` and ``labels`` on one device, where it is trained.
    Guarantee: the result depends on the arguments alone, not on how often it was killed and went on from the snapshot;
    on a GPU also on its kind.
    """
    recipe.check(len(images))
    held_out = recipe.held_out
    training = Training(network, recipe, recipe.steps(len(images) - held_out))
    steps = training.steps
    with torch.random.fork_rng(training.gpus), _same_every_time():
        torch.manual_seed(recipe.seed)  # dropout draws from the global generator alone
        done = training.restore(snapshot.read() if snapshot else None)
        with tqdm(total=recipe.epochs * steps, initial=done * steps, unit="step", desc=told) as bar:
            for epoch in range(done, recipe.epochs):
                loss = training.epoch(images[held_out:], labels[held_out:], bar.update)
                if snapshot:
                    snapshot.keep(training.state(epoch + 1))
                told_of = {"loss": f"{loss:.3g}"}
                if held_out and labels.ndim == 1:
                    told_of["held out"] = f"{share_right(network, images[:held_out], labels[:held_out]):.2%}"
                bar.set_postfix(told_of, refresh=False)
    network.eval()


class Training:
    """All that changes while a network is trained."""

    def __init__(self, network: nn.Module, recipe: Recipe, steps: int) -> None:
        self.network, self.recipe, self.steps = network, recipe, steps
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.gpus = sorted({parameter.get_device() for parameter in network.parameters() if parameter.is_cuda})
        of = network.parameters(), recipe.learning_rate, recipe.epochs * steps
        self.optimiser, self.schedule = recipe.optimiser.over(*of)

    def epoch(self, images: Tensor, labels: Labels, stepped: Callable[[], object]) -> float:
        """Every image once, in a new order; the loss of the last batch."""
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
            stepped()
        return loss.item()

    def state(self, done: int) -> dict[str, Any]:
        """After so many epochs."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule")}
        generators = {"generator": self.generator.get_state(), "global_generator": torch.get_rng_state()}
        generators |= {f"gpu_generator_{gpu}": torch.cuda.get_rng_state(gpu) for gpu in self.gpus}
        return {"done": done, **parts, **generators}

    def restore(self, state: dict[str, Any] | None) -> int:
        """How many epochs that state has behind it."""
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
        most = self.recipe.shift
        if not most:
            return images
        down, right = torch.randint(-most, most + 1, (2,), generator=self.generator).tolist()
        return images.roll((down, right), dims=(2, 3))


@contextmanager
def _same_every_time() -> Iterator[None]:
    """Within it, a GPU's convolutions add their parts up in one order."""
    before, torch.backends.cudnn.deterministic = torch.backends.cudnn.deterministic, True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def share_right(network: nn.Module, images: Tensor, labels: Int64[Tensor, " image"]) -> float:
    """The share of the images that the network, in evaluation mode, takes for their class."""
    return float((logits_of_all(network, images).argmax(1) == labels).float().mean())


def logits_of_all(network: nn.Module, images: Tensor) -> Float[Tensor, "image class"]:
    """The logits in evaluation mode, of any number of images."""
    with frozen(network):
        return torch.cat([compute_logits(network, some) for some in images.split(TOGETHER)])


def probabilities(teacher: nn.Module, images: Tensor, temperature: float) -> Float[Tensor, "image class"]:
    """softmax(logits / T), what a student learns."""
    return torch.softmax(logits_of_all(teacher, images) / temperature, 1)
