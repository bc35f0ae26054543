"""Training a network to resist: what it sees of an image while it is trained, and at no other time."""

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
    """What becomes of a batch of images in [0,1] before the network is trained on it.

    What is random in it comes from torch's global generator, which a training seeds and keeps with its state.
    """

    def __call__(self, network: nn.Module, images: Images) -> Images:
        """The images that the network gets in their place."""
        ...


class Hardened(nn.Module):
    """A network that is trained on perturbed images; in evaluation mode it is the network itself."""

    def __init__(self, network: nn.Module, perturbation: Perturbation) -> None:
        super().__init__()
        self.network, self.perturbation = network, perturbation

    def forward(self, images: Images) -> Float[Tensor, "batch class"]:
        """Logits for images in [0,1]."""
        seen = self.perturbation(self.network, images) if self.training else images
        return self.network(seen)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class NoiseTraining:
    """x + n, n Gaussian of standard deviation ``std`` in [0,1]-pixel units (Cohen et al. 2019); not clipped."""

    std: float

    def __post_init__(self) -> None:
        _positive("the std of the noise", self.std)

    def __call__(self, network: nn.Module, images: Images) -> Images:
        return images + self.std * torch.randn_like(images)


@dataclass(frozen=True)
class AdversarialTraining:
    """The image of [0,1] within ``radius`` of x, in ``norm``, that projected gradient ascent finds (Madry et al. 2018).

    ``steps`` of length 2.5 radius / steps from a random start raise the cross entropy of the class that the network
    itself names for x, as Kurakin et al. (2017) advise against leaking labels. The network attacked is the one in
    evaluation mode, so that batch statistics are those of the images trained on. ``norm``: L2, Linf.
    """

    norm: str
    radius: float
    steps: int

    def __post_init__(self) -> None:
        if Norm.parse(self.norm) is Norm.L1:
            raise InputError("the norm of adversarial training is L1: it must be one of L2, Linf")
        _positive("the radius of adversarial training", self.radius)
        require_int("the steps of adversarial training", self.steps, 1)

    def __call__(self, network: nn.Module, images: Images) -> Images:
        with frozen(network), torch.enable_grad():
            named = network(images).argmax(1)
            change = self._within(torch.randn_like(images))
            for _ in range(self.steps):
                at = (images + change).clamp(0, 1).requires_grad_()
                (slope,) = torch.autograd.grad(cross_entropy(network(at), named, reduction="sum"), at)
                change = self._within(at.detach() - images + 2.5 / self.steps * self._steepest(slope))
        return (images + change).clamp(0, 1)

    def _steepest(self, slope: Images) -> Images:
        """The change of length ``radius`` that climbs most."""
        if Norm.parse(self.norm) is Norm.LINF:
            return self.radius * slope.sign()
        return slope * (self.radius / _lengths(slope).clamp(min=1e-12))

    def _within(self, change: Images) -> Images:
        """The nearest change that is not longer than ``radius``."""
        return project(change, Norm.parse(self.norm), change.new_full((len(change),), self.radius))


def _lengths(change: Images) -> Float[Tensor, "batch 1 1 1"]:
    return Norm.L2.of(change).view(-1, 1, 1, 1)


def _positive(name: str, value: object) -> None:
    if not is_number(value) or not 0 < value < float("inf"):  # type: ignore[operator]
        raise InputError(f"{name} is {value!r}: it must be a positive number, in [0,1]-pixel units")
