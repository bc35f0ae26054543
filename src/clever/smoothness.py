"""Second order needs a network that is twice differentiable: the others are refused, by the name of the module."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules import pooling
from torch.utils._python_dispatch import TorchDispatchMode

from clever.bpda import BPDA, Clamped
from clever.chain import Identity
from clever.compute import Compilation, Computed
from clever.errors import InputError
from clever.kinks import unexplained
from clever.models import frozen
from clever.norms import Norm
from clever.sampling import Ball, offsets

KINKED_MODULES: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.Hardtanh,  # and ReLU6, which is one
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardshrink,
    nn.Softshrink,
    nn.Threshold,
    # A continuous first derivative for ELU with alpha = 1, CELU and Softsign, but a second one that jumps at 0.
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.Softsign,
    pooling._MaxPoolNd,
    pooling._AdaptiveMaxPoolNd,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)
"""Classes refused without running them."""

KINKED_OPERATIONS = frozenset(
    """
    relu leaky_relu prelu _prelu_kernel rrelu rrelu_with_noise rrelu_with_noise_functional threshold
    hardtanh hardsigmoid hardswish hardshrink softshrink elu celu selu abs sign sgn heaviside
    clamp clamp_min clamp_max maximum minimum fmax fmin max min amax amin aminmax cummax cummin
    median nanmedian mode quantile nanquantile kthvalue sort msort topk nan_to_num
    max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices mkldnn_max_pool2d mkldnn_max_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d
    round floor ceil trunc frac fix fmod remainder floor_divide l1_loss smooth_l1_loss huber_loss
    fake_quantize_per_tensor_affine fake_quantize_per_channel_affine quantize_per_tensor quantize_per_channel
    """.split()  # noqa: SIM905 (one name a line would be longer than the rest of this file)
)
"""ATen operations refused wherever they act on something that depends on the input."""

POWERS = {
    "linalg_vector_norm": (1, 2.0),
    "norm": (1, 2.0),
    "dist": (2, 2.0),
    "_pdist_forward": (1, 2.0),
} | dict.fromkeys(("_cdist_forward", "cdist"), (2, 2.0))
"""Norms, with the place and the default of the argument that says which: below 2, and for infinity, they have kinks."""

LEAST_SOFTPLUS_THRESHOLD = 15.0
"""Softplus turns linear where beta * x exceeds its threshold: log(1 + exp(-15)) is a step below float32's rounding."""


LINES = 3
"""Through the example, of the numerical search."""
UNIT_BALL = Ball(Norm.L2, 1.0)
SINGLE = torch.finfo(torch.float32).eps


def require_twice_differentiable(
    network: nn.Module, example: Float[Tensor, "batch ..."], balls: Sequence[Ball] = (UNIT_BALL,)
) -> None:
    """Returns when nothing is found that makes ``network`` less than twice differentiable; `InputError` names what is.

    Three passes. The first goes through ``network.modules()`` for the classes of `KINKED_MODULES`, used or not. The
    second runs the network once, in its present mode (train or eval), on ``example`` (a batch of inputs; one will do),
    and looks at each ATen operation whose arguments depend on the input. One of `KINKED_OPERATIONS` is refused, whoever
    calls it (``torch.relu`` in a ``forward``, say), and so is one that turns the input into booleans or integers (a
    comparison, an arg max, a cast), which can only serve to choose between pieces. Constants, and weights computed by
    ``abs`` or ``clamp``, pass. The message gives the innermost module's dotted name, its class, and the operation.

    The third knows no list: along `LINES` lines through the first example and random points of the ``balls``, changes
    of the gradient are compared with Hessian-vector products (`clever.kinks`), in evaluation mode, in double precision
    where the network runs in it. It finds kinks of any origin (``hypot(z, 0)``, ``sqrt(z * z)``, a ReLU in an
    ``autograd.Function`` or outside torch) where a line meets them, and a backward pass that is not the derivative. It
    is left out where the network computes in less than single precision. Cost: a gradient and a product at some 90
    points, up to 150 of a network that is refused.

    Refused although the theorem would extend to them, with M an essential supremum, because they have no second
    derivative at 0: ELU with alpha = 1, CELU, Softsign. Fine: Tanh, Sigmoid, Softplus, GELU, SiLU, Mish, Tanhshrink,
    GLU, softmax, average pooling, normalisation layers. Not seen: kinks that no line meets, in branches that the
    example does not take; second derivatives that jump in code that names no operation above; derivatives that are
    infinite at a point (a root at 0). `clever.BPDA` of anything but the identity is refused, however smooth: its
    derivatives are not those of its values.

    The network, its parameters and its gradients are left as they were.
    """
    for name, module in network.named_modules():
        if isinstance(module, KINKED_MODULES):
            raise InputError(_refusal(name, module, None))
        if isinstance(module, Computed) and module.compute.compilation is not Compilation.NONE:
            raise InputError(
                f"a compiled network ({module.compute.compilation}) has first derivatives only: second order needs "
                "compilation none"
            )
        if isinstance(module, BPDA) and not (isinstance(module.transformation, Identity) and module.substitute is None):
            raise InputError(
                f"second order is not defined behind a transformation with BPDA: {name or 'the network'} "
                f"({module.transformation}) has the derivatives of a substitute: the Hessian is not one of f(t(x)). "
                "First order is defined; so is second order for the network alone, at the transformed image"
            )
    tensors, first = dict(_tensors(network)), example[:1].detach()
    precision = _watched(network, tensors, example)
    if precision > SINGLE:
        return
    try:
        double = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        precision, tensors, first = _watched(network, double, first.double()), double, first.double()
    except (RuntimeError, TypeError):  # numbers of its own in single precision, or a device without double precision
        pass
    try:
        reason = _numerical(network, tensors, first[0], balls, max(precision, torch.finfo(first.dtype).eps))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # autograd's word for it
        raise InputError(
            f"second order needs products with the Hessian, and this network gives none: {error}"
        ) from error
    if reason:
        raise InputError(
            f"second order is not defined for this network: {reason}, so that it is not twice differentiable"
        )


def _numerical(
    network: nn.Module,
    tensors: dict[str, Tensor],
    example: Float[Tensor, "..."],
    balls: Sequence[Ball],
    precision: float,
) -> str | None:
    """`unexplained` of a random combination of all logits: a kink of any shows."""
    generator = torch.Generator().manual_seed(0)
    lines = [offsets(balls[at % len(balls)], 1, example.cpu(), generator)[0] for at in range(LINES)]
    weights = torch.randn(functional_call(network, tensors, (example[None],)).numel(), generator=generator).to(example)

    def mixed(points: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, tensors, (points,))
        return logits.reshape(len(points), -1).to(weights) @ weights

    with frozen(network), _beyond_the_box(network):
        return unexplained(mixed, example, torch.stack(lines).to(example), precision)


@contextmanager
def _beyond_the_box(network: nn.Module) -> Iterator[None]:
    """Within it nothing is moved into [0,1]: what bends there is the clamp of a defended network, not the network."""
    clamped = [module for module in network.modules() if isinstance(module, Clamped)]
    hooks = [module.register_forward_hook(lambda _, given, __: given[0]) for module in clamped]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    # Parameters without gradients, so that requires_grad says: depends on the input.
    yield from ((name, parameter.detach()) for name, parameter in network.named_parameters())
    # Copies: a batch normalisation in training mode counts in place.
    yield from ((name, buffer.clone()) for name, buffer in network.named_buffers())


def _watched(network: nn.Module, tensors: dict[str, Tensor], example: Float[Tensor, "batch ..."]) -> float:
    """Runs the network once, with these parameters, under `_Watch`; the machine epsilon of its coarsest step."""
    with _running(network) as stack, torch.enable_grad(), _Watch(stack) as watch:
        functional_call(network, tensors, (example.detach().clone().requires_grad_(True),))
    return float(watch.precision)


def _refusal(name: str, module: nn.Module, operation: str | None) -> str:
    what = f"{name or 'the network itself'} ({type(module).__name__})"
    how = f" calls {operation}, which" if operation else ""
    return (
        f"second order is not defined for this network: {what}{how} is not twice differentiable. Smooth activations "
        "(Tanh, Sigmoid, Softplus, GELU, SiLU) and average pooling are; first order needs none of this"
    )


@contextmanager
def _running(network: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """A stack, kept by hooks, of the modules whose forward pass is under way."""
    stack: list[tuple[str, nn.Module]] = []
    hooks = []
    try:
        for name, module in network.named_modules():

            def enter(module: nn.Module, _: Any, name: str = name) -> None:
                stack.append((name, module))

            def leave(module: nn.Module, *_: Any) -> None:
                stack.pop()

            hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        yield stack
    finally:
        for hook in hooks:
            hook.remove()


class _Watch(TorchDispatchMode):
    """Raises at the first operation that is not twice differentiable in the input."""

    def __init__(self, stack: Sequence[tuple[str, nn.Module]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stack = stack
        self.precision = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, Tensor)]
        # Where gradients are switched off (inside an autograd.Function), nothing says what depends on the input.
        depends = any(value.requires_grad for value in given) or not torch.is_grad_enabled()
        result = func(*args, **(kwargs or {}))
        if self._stack and isinstance(self._stack[-1][1], Clamped):  # the identity, for images
            return result
        if depends and any(value.is_floating_point() for value in given) and self._kinked(func, args, result):
            name, module = self._stack[-1]
            raise InputError(_refusal(name, module, str(func.overloadpacket)))
        if depends and isinstance(result, Tensor) and result.is_floating_point():
            self.precision = max(self.precision, torch.finfo(result.dtype).eps)
        return result

    @staticmethod
    def _kinked(func: Any, args: tuple[Any, ...], result: Any) -> bool:
        operation = func.overloadpacket.__name__.removesuffix("_")
        if operation == "softplus":
            return len(args) > 2 and float(args[2]) < LEAST_SOFTPLUS_THRESHOLD
        if "grid_sampler" in operation:  # linear in the image, piecewise in the places at which it is looked up
            return bool(args[1].requires_grad) or not torch.is_grad_enabled()
        if operation in POWERS:
            place, default = POWERS[operation]
            power = default if len(args) <= place or args[place] is None else float(args[place])
            return power < 2 or power == math.inf
        if operation.startswith("new_") or operation.endswith("_like"):  # takes the shape alone
            return False
        decides = isinstance(result, Tensor) and not (result.is_floating_point() or result.is_complex())
        return decides or operation in KINKED_OPERATIONS
