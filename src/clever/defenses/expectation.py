"""The classifier behind a random defense: what the network says of several draws, averaged."""

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

TOGETHER = 8
"""Draws that go through the network in one pass. Where there are more, a pass is computed again on the way back, so
that no more than these are in memory at once."""


class Pooling(Choice):
    """What is averaged over the draws.

    ``logits``: so that the margin is the mean of the draws' margins. ``probabilities``: softmax, as Guo et al. 2018
    average crops; the result is the logarithm of the mean, whose margins are log ratios of mean probabilities.
    """

    LOGITS = "logits"
    PROBABILITIES = "probabilities"

    def of(self, logits: Float[Tensor, "draw batch class"]) -> Float[Tensor, "batch class"]:
        """The logits of the mean over the draws."""
        if self is Pooling.LOGITS:
            return logits.mean(0)
        return functional.log_softmax(logits, -1).logsumexp(0) - math.log(len(logits))


@dataclass(frozen=True)
class Expectation:
    """A random defense as the mean over ``draws`` fixed draws of it, from the draw ``first`` on.

    `clever.Defended` takes it like any transformation: its classifier is x -> mean over k of f(t_k(x)), as ``pooling``
    says, the derivative that of the mean, with BPDA of f at each t_k(x): expectation over transformation (Athalye et
    al. 2018, section 5.2). It is deterministic, so first-order theory applies to it. What it says of the expectation
    over all draws has the sampling error of ``draws`` of them. With ``draws=1``, ``first`` chooses the single draw; the
    worst of m is the smallest score of the m classifiers with ``first`` 0 to m - 1.

    It is no map of images: called on some in [0,1] pixel space, it shows its first draw, for a figure. `InputError`
    where nothing is random.
    """

    transformation: Random
    draws: int = 10
    first: int = 0
    pooling: str = Pooling.LOGITS

    def __post_init__(self) -> None:
        require_int("the number of draws", self.draws, 1)
        require_int("the first draw", self.first, 0)
        Pooling.parse(self.pooling)
        given = self.transformation
        if not isinstance(given, Random) or given.drawn(0) == given.drawn(1):
            raise InputError(
                f"nothing in {given} is random: an expectation needs a transformation with a method drawn(index), such "
                "as clever.Noise or a chain with one; any other is a defense by itself"
            )

    @property
    def views(self) -> tuple[Callable[[Tensor], Tensor], ...]:
        """The draws, each a transformation."""
        return tuple(self.transformation.drawn(self.first + index) for index in range(self.draws))

    @property
    def useful_gradient(self) -> bool:
        """Whether the random transformation has one."""
        return has_useful_gradient(self.transformation)

    def __call__(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The first draw of the images."""
        return self.transformation.drawn(self.first)(images)

    def logits(self, network: nn.Module, seen: Sequence[Float[Tensor, "batch ..."]]) -> Float[Tensor, "batch class"]:
        """The network's logits of the same images as each draw shows them, averaged.

        The gradient reaches the network's parameters, too, where they ask for one; all passes are then in memory.
        """
        passes = [torch.cat(list(seen[start : start + TOGETHER])) for start in range(0, len(seen), TOGETHER)]
        if len(passes) > 1 and not any(parameter.requires_grad for parameter in network.parameters()):
            rows = [_Recomputed.apply(images, network) for images in passes]
        else:
            rows = [network(images) for images in passes]
        return Pooling.parse(self.pooling).of(torch.cat(rows).unflatten(0, (len(seen), -1)))


class _Recomputed(torch.autograd.Function):
    """A network without trained parameters whose pass is not kept for the way back, but computed again there.

    `torch.utils.checkpoint` does the same, but hides its tensors from `clever._internal.capacity`, which must see what
    a point costs.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, network: nn.Module) -> Tensor:
        ctx.network = network
        ctx.save_for_backward(images)
        return network(images)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (images,) = ctx.saved_tensors
        again = torch.is_grad_enabled()  # somebody wants second derivatives
        with torch.enable_grad():
            source = images if again else images.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(ctx.network(source), source, gradients[0], create_graph=again)
        return gradient, None
