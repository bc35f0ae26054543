"""The classifier behind a random defense: the network's mean output over several draws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clever._internal.checks import require_int
from clever._internal.choice import Choice
from clever.defenses.capabilities import has_useful_gradient
from clever.defenses.random import Random
from clever.errors import InputError

DRAWS_PER_PASS = 8
"""Draws per pass through the network. With more draws, each pass is recomputed in the backward pass, so that no more
than these are in memory at once."""


class Pooling(Choice):
    """The quantity that is averaged over the draws.

    ``logits``: the margin is the mean of the draws' margins. ``probabilities``: the softmax, as in Guo et al. 2018; the
    result is the logarithm of the mean, whose margins are log ratios of mean probabilities.
    """

    LOGITS = "logits"
    PROBABILITIES = "probabilities"

    def pool(self, logits: Float[Tensor, "draw batch class"]) -> Float[Tensor, "batch class"]:
        """The logits of the mean over the draws."""
        if self is Pooling.LOGITS:
            return logits.mean(0)
        return functional.log_softmax(logits, -1).logsumexp(0) - math.log(len(logits))


@dataclass(frozen=True)
class Expectation:
    """The mean over ``draws`` fixed draws of a random defense, starting at draw ``first``.

    `clever.Defended` accepts it like any transformation. The classifier is x -> mean over k of f(t_k(x)), where
    ``pooling`` ("logits" or "probabilities") chooses what is averaged; its derivative is that of the mean, and with
    BPDA each term has the gradient of f at t_k(x). This is called expectation over transformation (Athalye et al. 2018,
    section 5.2). The classifier is deterministic, so first-order theory applies to it; as an estimate of the
    expectation over all draws it has the sampling error of ``draws`` draws. With ``draws=1``, ``first`` selects the
    single draw; the worst case over m draws is the smallest score among the m classifiers with ``first`` from 0 to m -
    1.

    As a whole it does not map images to images; calling it on images in [0,1] returns its first draw, for use in
    figures. `InputError` for a transformation that is not random, and for fewer than one draw.

        clever.Defended(network, clever.Expectation(clever.Noise(std=0.1), draws=20))
    """

    transformation: Random
    draws: int = 10
    first: int = 0
    pooling: str = Pooling.LOGITS

    def __post_init__(self) -> None:
        require_int("the number of draws", self.draws, 1)
        require_int("the first draw", self.first, 0)
        Pooling.parse(self.pooling)
        transformation = self.transformation
        if not isinstance(transformation, Random) or transformation.drawn(0) == transformation.drawn(1):
            raise InputError(
                f"nothing in {transformation} is random: an expectation needs a transformation with a method "
                "drawn(index), such as clever.Noise or a chain that contains it; use a deterministic one "
                "directly as the defense"
            )

    @property
    def views(self) -> tuple[Callable[[Tensor], Tensor], ...]:
        """The draws; each is a transformation."""
        return tuple(self.transformation.drawn(self.first + index) for index in range(self.draws))

    @property
    def useful_gradient(self) -> bool:
        """Whether the random transformation has a useful gradient."""
        return has_useful_gradient(self.transformation)

    def __call__(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The first draw of the images."""
        return self.transformation.drawn(self.first)(images)

    def logits(self, network: nn.Module, drawn: Sequence[Float[Tensor, "batch ..."]]) -> Float[Tensor, "batch class"]:
        """The network's mean output for the same images transformed by each draw.

        If parameters require gradients, they get them, and all passes are in memory at once.
        """
        starts = range(0, len(drawn), DRAWS_PER_PASS)
        passes = [torch.cat(list(drawn[start : start + DRAWS_PER_PASS])) for start in starts]
        if len(passes) > 1 and not any(parameter.requires_grad for parameter in network.parameters()):
            rows = [_Recomputed.apply(images, network) for images in passes]
        else:
            rows = [network(images) for images in passes]
        return Pooling.parse(self.pooling).pool(torch.cat(rows).unflatten(0, (len(drawn), -1)))


class _Recomputed(torch.autograd.Function):
    """A network with frozen parameters whose forward pass is recomputed in the backward pass instead of stored.

    `torch.utils.checkpoint` does the same, but hides its tensors from `clever._internal.capacity`, which has to measure
    the memory of a point.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, network: nn.Module) -> Tensor:
        ctx.network = network
        ctx.save_for_backward(images)
        return network(images)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (images,) = ctx.saved_tensors
        second_order = torch.is_grad_enabled()
        with torch.enable_grad():
            source = images if second_order else images.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(ctx.network(source), source, gradients[0], create_graph=second_order)
        return gradient, None
