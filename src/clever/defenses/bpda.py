"""Backward pass differentiable approximation: exact forward; backward the identity, or what is chosen for it."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.types import Transformation
from clever.defenses.expectation import Expectation
from clever.errors import InputError


def transformed(images: Tensor, transformation: Transformation) -> Tensor:
    """t(images); `InputError` where it is not of the images' shape and number format."""
    result = transformation(images)
    if not isinstance(result, Tensor) or result.shape != images.shape or result.dtype != images.dtype:
        got = f"{tuple(result.shape)} of {result.dtype}" if isinstance(result, Tensor) else type(result).__name__
        raise InputError(
            f"the transformation {transformation} makes {got} of images {tuple(images.shape)} of {images.dtype}: it "
            "must keep their shape and number format"
        )
    return result


class Straight(torch.autograd.Function):
    """The transformation, and the identity on the way back."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, transformation: Transformation) -> Tensor:
        # A tensor of its own even for the identity: autograd would otherwise take the input itself for a view.
        return transformed(images, transformation).view_as(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Substituted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, transformation: Transformation, substitute: Transformation) -> Tensor:
        ctx.save_for_backward(images)
        ctx.substitute = substitute
        return transformed(images, transformation).view_as(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (images,) = ctx.saved_tensors
        with torch.enable_grad():
            at = images.detach().requires_grad_()
            (pulled,) = torch.autograd.grad(ctx.substitute(at), at, gradients[0])
        return pulled, None, None


class BPDA(nn.Module):
    """t(x) on the way forward, the identity on the way back (Athalye et al. 2018, section 4.1).

    Guarantee: the gradient of f(BPDA(t)(x)) is the gradient of f taken at t(x), to the last bit, whatever t does.
    Chains compose: a sequence of `BPDA` modules and the `BPDA` of a sequence give the same gradient.

    ``backward``: a differentiable function s to go back through in the place of the identity (their section 4.2), such
    as `clever.Smooth`. The gradient is then that of f at t(x) times the derivative of s at x. The store tells it apart
    by its repr.
    """

    def __init__(self, transformation: Transformation, backward: Transformation | None = None) -> None:
        super().__init__()
        self.transformation, self.substitute = transformation, backward

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch ..."]:
        """t(images), exactly; shapes and pixel range as in `Transformation`."""
        if self.substitute is None:
            return Straight.apply(images, self.transformation)  # type: ignore[no-any-return]
        return _Substituted.apply(images, self.transformation, self.substitute)  # type: ignore[no-any-return]


class Clamped(nn.Module):
    """The nearest image: every number moved into [0,1], the derivative passing straight through."""

    def forward(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Shape and dtype of the input."""
        return Straight.apply(images, _clamped)  # type: ignore[no-any-return]


def _clamped(images: Tensor) -> Tensor:
    return images.clamp(0, 1)


class Defended(nn.Module):
    """The classifier f(t(x)): logits of ``network`` on the transformed images, normalisation being the network's.

    With ``bpda`` the backward pass takes t for the identity, or for the differentiable function ``backward``; without
    it, it uses the true derivative of t, which for a staircase is zero almost everywhere (Goodfellow, arXiv
    1804.07870), and a ``backward`` is an `InputError`.

    Behind a `clever.Expectation` it is the mean over several draws t_k of a random transformation, and the backward
    pass takes each t_k for the identity, or uses its true derivative.

    A classifier of images: a point outside [0,1] is first moved to the nearest image, whatever t is, the identity
    included, and the derivative passes straight through that. So the networks behind two defenses see the same inputs,
    and their scores can be compared, where points are not clipped (`clever.Settings`), too; a network that is given
    bare sees such points as they are.

    Of a gradient by BPDA, which is that of f at t(x), the first-order score says how far t's *output* can go from
    t(x0); where t is a staircase an input next to a step gets there for less, so that a score can lie far above the
    distance of an adversarial image. What speaks of inputs is `clever.Gauge`.
    """

    network: nn.Module
    transformation: BPDA | Transformation

    def __init__(
        self,
        network: nn.Module,
        transformation: Transformation,
        *,
        bpda: bool = True,
        backward: Transformation | None = None,
    ) -> None:
        super().__init__()
        if backward is not None and not bpda:
            raise InputError("a backward function without BPDA: it is BPDA that goes back through it")
        self.network = network
        self.clamped = Clamped()
        self.transformation = BPDA(transformation, backward) if bpda else transformation

    @property
    def defense(self) -> Transformation:
        """The transformation t itself."""
        return self.transformation.transformation if isinstance(self.transformation, BPDA) else self.transformation

    @property
    def backward(self) -> Transformation | None:
        """What BPDA goes back through; None for the identity, and without BPDA."""
        return self.transformation.substitute if isinstance(self.transformation, BPDA) else None

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits for images in [0,1]."""
        images, defense = self.clamped(images), self.defense
        if isinstance(defense, Expectation):
            return defense.logits(self.network, [self._seen(images, view) for view in defense.views])
        return self.network(self._seen(images, defense))  # type: ignore[no-any-return]

    def _seen(self, images: Tensor, transformation: Transformation) -> Tensor:
        if isinstance(self.transformation, BPDA):
            return BPDA(transformation, self.backward)(images)  # type: ignore[no-any-return]
        return transformed(images, transformation)


class BareNetwork(nn.Module):
    """The network f itself, for points that are on t's side already; it remembers t."""

    def __init__(self, network: nn.Module, defense: Transformation) -> None:
        super().__init__()
        self.network, self.defense = network, defense

    def forward(self, points: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits of f at the points as they are."""
        return self.network(points)  # type: ignore[no-any-return]

    def transform(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """t(x), what f sees of images."""
        return self.defense(images.clamp(0, 1))


def bare_network(network: nn.Module) -> BareNetwork | None:
    """f and t of a classifier whose derivatives are those of f at t(x); None for any other, which is its own f."""
    if not isinstance(network, Defended) or isinstance(network.defense, Expectation) or network.backward is not None:
        return None
    return BareNetwork(network.network, network.defense) if isinstance(network.transformation, BPDA) else None


def on_segments(network: nn.Module) -> tuple[nn.Module, Transformation]:
    """The network to measure at points of segments, and the map of an image onto its point there.

    f and t of `bare_network`; without it the network itself and the identity.
    """
    f = bare_network(network)
    return (f, f.transform) if f else (network, _as_it_is)


def _as_it_is(images: Tensor) -> Tensor:
    return images
