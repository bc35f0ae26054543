"""Backward pass differentiable approximation: t(x) in the forward pass, a substitute derivative in the backward
pass."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.types import Transformation
from clever.defenses.expectation import Expectation
from clever.errors import InputError


def apply_transformation(images: Tensor, transformation: Transformation) -> Tensor:
    """t(images); `InputError` if its shape or dtype differs from that of the images."""
    result = transformation(images)
    if not isinstance(result, Tensor) or result.shape != images.shape or result.dtype != images.dtype:
        got = f"{tuple(result.shape)} of {result.dtype}" if isinstance(result, Tensor) else type(result).__name__
        raise InputError(
            f"the transformation {transformation} returns {got} for images {tuple(images.shape)} of {images.dtype}: it "
            "must keep their shape and dtype"
        )
    return result


class StraightThrough(torch.autograd.Function):
    """The transformation in the forward pass, the identity in the backward pass."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, transformation: Transformation) -> Tensor:
        # view_as, because autograd does not accept the input itself as output, which the identity returns.
        return apply_transformation(images, transformation).view_as(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Substituted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, transformation: Transformation, substitute: Transformation) -> Tensor:
        ctx.save_for_backward(images)
        ctx.substitute = substitute
        return apply_transformation(images, transformation).view_as(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (images,) = ctx.saved_tensors
        with torch.enable_grad():
            points = images.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(ctx.substitute(points), points, gradients[0])
        return gradient, None, None


class BPDA(nn.Module):
    """t(x) in the forward pass, the identity in the backward pass (Athalye et al. 2018, section 4.1).

    Guarantee: the gradient of f(BPDA(t)(x)) is the gradient of f at t(x), to the last bit, for any t. BPDA composes: a
    sequence of `BPDA` modules and the `BPDA` of a sequence give the same gradient.

    ``backward``: a differentiable surrogate s that replaces the identity in the backward pass (their section 4.2), such
    as `clever.Smooth`. The gradient is then that of f at t(x) times the derivative of s at x. Its repr is part of the
    cache key. `InputError` if t changes the shape or dtype of the images.

        clever.BPDA(clever.JPEG(quality=75))
    """

    def __init__(self, transformation: Transformation, backward: Transformation | None = None) -> None:
        super().__init__()
        self.transformation, self.substitute = transformation, backward

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch ..."]:
        """t(images), exactly; shapes and pixel range as in `Transformation`."""
        if self.substitute is None:
            return StraightThrough.apply(images, self.transformation)  # type: ignore[no-any-return]
        return _Substituted.apply(images, self.transformation, self.substitute)  # type: ignore[no-any-return]


class Clamped(nn.Module):
    """Clips to [0,1] in the forward pass, with the identity in the backward pass."""

    def forward(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The clipped images, with the shape and dtype of the input."""
        return StraightThrough.apply(images, _clamped)  # type: ignore[no-any-return]


def _clamped(images: Tensor) -> Tensor:
    return images.clamp(0, 1)


class Defended(nn.Module):
    """The classifier f(t(x)): logits of ``network`` for the transformed images; f includes the normalisation.

    With ``bpda`` the backward pass replaces t by the identity or by the surrogate ``backward``. Without it, the
    backward pass uses the true derivative of t, which is zero almost everywhere for a staircase (Goodfellow, arXiv
    1804.07870); giving ``backward`` is then an `InputError`.

    With a `clever.Expectation` the classifier is the mean over several draws t_k of a random transformation; in the
    backward pass each t_k is replaced by the identity or has its true derivative.

    Points outside [0,1] are first clipped to it, even for the identity, with a derivative of one. So networks behind
    different defenses get the same inputs, and their scores are comparable even where points are not clipped
    (`clever.Settings`). A bare network gets such points unchanged.

    BPDA's gradient is that of f at t(x), so the first-order score bounds how far the *output* of t can move from t(x0).
    If t is a staircase, an input close to a step needs a smaller change, and the score can lie far above the
    adversarial distance. `clever.Gauge` bounds the distance of the input.

        clever.Defended(network, clever.JPEG(quality=75))
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
            raise InputError("backward is given, but bpda is false: only BPDA uses a backward function")
        self.network = network
        self.clamped = Clamped()
        self.transformation = BPDA(transformation, backward) if bpda else transformation

    @property
    def defense(self) -> Transformation:
        """The transformation t, without BPDA."""
        return self.transformation.transformation if isinstance(self.transformation, BPDA) else self.transformation

    @property
    def backward(self) -> Transformation | None:
        """BPDA's surrogate; None for the identity, and without BPDA."""
        return self.transformation.substitute if isinstance(self.transformation, BPDA) else None

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits for images in [0,1]."""
        images, defense = self.clamped(images), self.defense
        if isinstance(defense, Expectation):
            return defense.logits(self.network, [self._transform(images, view) for view in defense.views])
        return self.network(self._transform(images, defense))  # type: ignore[no-any-return]

    def _transform(self, images: Tensor, transformation: Transformation) -> Tensor:
        if isinstance(self.transformation, BPDA):
            return BPDA(transformation, self.backward)(images)  # type: ignore[no-any-return]
        return apply_transformation(images, transformation)


class BareNetwork(nn.Module):
    """The network f without its transformation t, for points that are already transformed; it stores t."""

    def __init__(self, network: nn.Module, defense: Transformation) -> None:
        super().__init__()
        self.network, self.defense = network, defense

    def forward(self, points: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits of f at the given points."""
        return self.network(points)  # type: ignore[no-any-return]

    def transform(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """t(x) for images clipped to [0,1]."""
        return self.defense(images.clamp(0, 1))


def bare_network(network: nn.Module) -> BareNetwork | None:
    """f and t of a classifier whose gradients are those of f at t(x), by BPDA's identity; None for other networks."""
    if not isinstance(network, Defended) or isinstance(network.defense, Expectation) or network.backward is not None:
        return None
    return BareNetwork(network.network, network.defense) if isinstance(network.transformation, BPDA) else None


def segment_network(network: nn.Module) -> tuple[nn.Module, Transformation]:
    """The network to evaluate at points of segments, and the map from images to the segments' end points.

    f and t of `bare_network`, or the network itself and the identity.
    """
    f = bare_network(network)
    return (f, f.transform) if f else (network, _identity)


def _identity(images: Tensor) -> Tensor:
    return images
