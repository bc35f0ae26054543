"""Robust training: perturbations applied to the images during training only."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clever._internal.checks import is_number, require_int
from clever._internal.types import Images
from clever.attacks.projection import project
from clever.classifier.wrappers import frozen
from clever.errors import InputError
from clever.norms import Norm


class Perturbation(Protocol):
    """A perturbation of a batch of training images in [0,1].

    Randomness must come from torch's global generator, which the training seeds and saves with its state.
    """

    def __call__(self, network: nn.Module, images: Images) -> Images:
        """The perturbed images."""
        ...


class Hardened(nn.Module):
    """A network that perturbs its input in training mode and leaves it unchanged in evaluation mode."""

    def __init__(self, network: nn.Module, perturbation: Perturbation) -> None:
        super().__init__()
        self.network, self.perturbation = network, perturbation

    def forward(self, images: Images) -> Float[Tensor, "batch class"]:
        """Logits for images in [0,1]."""
        inputs = self.perturbation(self.network, images) if self.training else images
        return self.network(inputs)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class NoiseTraining:
    """x + n, not clipped, with Gaussian n of standard deviation ``std`` in [0,1]-pixel units (Cohen et al. 2019)."""

    std: float

    def __post_init__(self) -> None:
        _require_positive("the std of the noise", self.std)

    def __call__(self, network: nn.Module, images: Images) -> Images:
        return images + self.std * torch.randn_like(images)


@dataclass(frozen=True)
class AdversarialTraining:
    """Projected gradient ascent within ``radius`` of x in ``norm`` (L2, Linf), clipped to [0,1] (Madry et al. 2018).

    ``steps`` steps of length 2.5 radius / steps from a random start increase the cross entropy of the class predicted
    for x, which avoids label leaking (Kurakin et al. 2017). The attack uses the network in evaluation mode, so that
    batch statistics come only from the training images.
    """

    norm: str
    radius: float
    steps: int

    def __post_init__(self) -> None:
        if Norm.parse(self.norm) is Norm.L1:
            raise InputError("the norm of adversarial training is L1: it must be one of L2, Linf")
        _require_positive("the radius of adversarial training", self.radius)
        require_int("the steps of adversarial training", self.steps, 1)

    def __call__(self, network: nn.Module, images: Images) -> Images:
        with frozen(network), torch.enable_grad():
            predicted = network(images).argmax(1)
            change = self._within(torch.randn_like(images))
            for _ in range(self.steps):
                at = (images + change).clamp(0, 1).requires_grad_()
                (slope,) = torch.autograd.grad(cross_entropy(network(at), predicted, reduction="sum"), at)
                change = self._within(at.detach() - images + 2.5 / self.steps * self._steepest(slope))
        return (images + change).clamp(0, 1)

    def _steepest(self, slope: Images) -> Images:
        """The steepest ascent direction, of length ``radius``."""
        if Norm.parse(self.norm) is Norm.LINF:
            return self.radius * slope.sign()
        return slope * (self.radius / _lengths(slope).clamp(min=1e-12))

    def _within(self, change: Images) -> Images:
        """The perturbation projected onto the ball of ``radius``."""
        return project(change, Norm.parse(self.norm), change.new_full((len(change),), self.radius))


def _lengths(change: Images) -> Float[Tensor, "batch 1 1 1"]:
    return Norm.L2.of(change).view(-1, 1, 1, 1)


def _require_positive(name: str, value: object) -> None:
    if not is_number(value) or not 0 < value < float("inf"):  # type: ignore[operator]
        raise InputError(f"{name} is {value!r}: it must be a positive number, in [0,1]-pixel units")
