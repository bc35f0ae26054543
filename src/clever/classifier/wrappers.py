"""Normalisation, evaluation mode and checked logits of a network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.errors import InputError, NotFinite


class Normalize(nn.Module):
    """(x - mean) / std per channel, as the first layer of a network, so that radii and scores are in pixel units.

    Maps (batch, channel, height, width) to the same shape. `InputError` for a mean and std of different lengths, or a
    std that is not positive.

        network = torch.nn.Sequential(clever.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]), network)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std, default=0) <= 0:
            raise InputError(
                f"normalisation by mean {list(mean)} and std {list(std)}: give one positive std per channel"
            )
        # Not persistent, so that a state_dict holds only the network's own weights.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch ..."]:
        """Normalise images in [0,1]."""
        return (images - self.mean) / self.std

    def extra_repr(self) -> str:
        """Mean and std per channel."""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without parameter gradients; restores every module and parameter on exit."""
    training = [module for module in network.modules() if module.training]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        network.eval()
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in trained:
            parameter.requires_grad_(True)


def finite_logits(
    network: nn.Module, images: Float[Tensor, "batch ..."], first: int = 0
) -> Float[Tensor, "batch class"]:
    """The logits, without gradients, checked as in `compute_logits`; `NotFinite` for NaN or infinity.

    ``first``: the index of the first of these images among all images, for the message.
    """
    logits = compute_logits(network, images)
    if not bool(logits.isfinite().all()):
        bad = [first + row for row in (~logits.isfinite().all(1)).nonzero().flatten().tolist()]
        raise NotFinite(f"the network returns NaN or infinite logits for image(s) {', '.join(map(str, bad[:10]))}")
    return logits


def compute_logits(network: nn.Module, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch class"]:
    """The logits, without gradients; `InputError` unless there is one row per image and at least two classes."""
    with torch.no_grad():
        logits = network(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the network returns {got} for {len(images)} images: it must return (images, classes) logits")
    return logits
