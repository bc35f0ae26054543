"""Check that a network is twice differentiable, as second order requires."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from clever.classifier.compute import Compilation, Computed
from clever.defenses.bpda import BPDA, Clamped, Defended, StraightThrough
from clever.defenses.chain import Identity
from clever.defenses.expectation import DRAWS_PER_PASS, Expectation
from clever.errors import InputError

NONSMOOTH_OPERATIONS = frozenset(
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
"""ATen operations rejected when an argument depends on the input."""

POWERS = {
    "linalg_vector_norm": (1, 2.0),
    "norm": (1, 2.0),
    "dist": (2, 2.0),
    "_pdist_forward": (1, 2.0),
} | dict.fromkeys(("_cdist_forward", "cdist"), (2, 2.0))
"""Norms, with the position and default of the argument that gives their order; nonsmooth for orders below 2 and
infinity."""

MIN_SOFTPLUS_THRESHOLD = 15.0
"""Softplus is linear where beta * x exceeds its threshold; from 15 up the jump log(1 + exp(-15)) is below rounding."""


def require_twice_differentiable(network: nn.Module, example: Float[Tensor, "batch ..."]) -> None:
    """`InputError` if ``network`` is found not to be twice differentiable.

    Runs the network once, in its current mode (train or eval), on ``example`` (a batch of at least one input), and
    checks each ATen operation whose arguments depend on the input. It rejects `NONSMOOTH_OPERATIONS`, whatever calls
    them (``nn.ReLU``, or ``torch.relu`` in a ``forward``), and operations that turn the input into booleans or integers
    (a comparison, an arg max, a cast), since these can only select between pieces. Constants, and weights computed by
    ``abs`` or ``clamp``, pass. The message gives the innermost module's dotted name, its class, and the operation. It
    also rejects custom ``autograd.Function``s, because their backward pass need not be the derivative of their forward
    pass. Finally, a Hessian-vector product must be possible.

    ELU with alpha = 1, CELU and Softsign are rejected because they have no second derivative at 0, although the theorem
    would extend to them with M an essential supremum. Accepted: Tanh, Sigmoid, Softplus, GELU, SiLU, Mish, Tanhshrink,
    GLU, softmax, average pooling, normalisation layers. Not detected: branches that the example does not take; roots
    at 0, whose derivatives are infinite, such as ``sqrt(z * z)`` and ``hypot(z, 0)``. `clever.BPDA` is rejected unless
    its transformation is the identity: its derivatives are not those of its values.

    The network, its parameters and its gradients are left unchanged.
    """
    network = _one_pass(network)
    for name, module in network.named_modules():
        if isinstance(module, Computed) and module.compute.compilation is not Compilation.NONE:
            raise InputError(
                f"a compiled network ({module.compute.compilation}) has first derivatives only: second order needs "
                "compilation='none'"
            )
        if isinstance(module, BPDA) and not (isinstance(module.transformation, Identity) and module.substitute is None):
            raise InputError(
                f"second order is not defined for a transformation with BPDA: {name or 'the network'} "
                f"({module.transformation}) has the derivatives of a substitute, so the Hessian is not that of "
                "f(t(x)). Use first order, or second order for the bare network at the transformed image"
            )
    given = example.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        with _running(network) as stack, _Watch(stack):
            logits = functional_call(network, dict(_tensors(network)), (given,))
        if functions := _custom_functions(logits):
            raise InputError(
                "second order is not defined for this network: it has a custom autograd.Function "
                f"({', '.join(functions)}), whose backward pass need not be the derivative"
            )
        _require_products(logits, given)


def _one_pass(network: nn.Module) -> nn.Module:
    """The network with no more draws than one pass holds: further ones repeat its operations in a custom Function."""
    if not (isinstance(network, Defended) and isinstance(network.transformation, Expectation)):
        return network
    few = copy(network)  # its modules are shared, and so keep their modes
    few.transformation = replace(network.transformation, draws=min(network.transformation.draws, DRAWS_PER_PASS))
    return few


def _custom_functions(logits: Tensor) -> list[str]:
    """The names of the custom ``autograd.Function``s in the logits' graph, without torch's and `StraightThrough`."""
    names: set[str] = set()
    visited: set[Node] = set()
    pending = [logits.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        function = getattr(node, "_forward_cls", StraightThrough)  # torch's operations have none
        if function is not StraightThrough and not function.__module__.startswith("torch."):
            names.add(function.__name__)
        pending += [parent for parent, _ in node.next_functions]
    return sorted(names)


def _require_products(logits: Tensor, given: Tensor) -> None:
    try:
        (gradient,) = torch.autograd.grad(
            logits.sum(), given, create_graph=True, allow_unused=True, materialize_grads=True
        )
        if gradient.requires_grad:
            torch.autograd.grad(gradient.sum(), given, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise InputError(f"second order needs Hessian-vector products, but autograd fails: {error}") from error


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    # Parameters without gradients, so that requires_grad means: depends on the input.
    yield from ((name, parameter.detach()) for name, parameter in network.named_parameters())
    # Copies: batch normalisation in training mode updates its buffers in place.
    yield from ((name, buffer.clone()) for name, buffer in network.named_buffers())


def _refusal(name: str, module: nn.Module, operation: str) -> str:
    return (
        f"second order is not defined for this network: {name or 'the network itself'} ({type(module).__name__}) calls "
        f"{operation}, which is not twice differentiable. Smooth activations (Tanh, Sigmoid, Softplus, GELU, SiLU) and "
        "average pooling are. First order works for this network"
    )


@contextmanager
def _running(network: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """A stack of the modules whose forward pass is running, maintained by hooks."""
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

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, Tensor)]
        # With gradients disabled (inside an autograd.Function), anything may depend on the input.
        depends = any(value.requires_grad for value in given) or not torch.is_grad_enabled()
        result = func(*args, **(kwargs or {}))
        if self._stack and isinstance(self._stack[-1][1], Clamped):  # the identity on images
            return result
        if depends and any(value.is_floating_point() for value in given) and self._is_nonsmooth(func, args, result):
            name, module = self._stack[-1]
            raise InputError(_refusal(name, module, str(func.overloadpacket)))
        return result

    @staticmethod
    def _is_nonsmooth(func: Any, args: tuple[Any, ...], result: Any) -> bool:
        operation = func.overloadpacket.__name__.removesuffix("_")
        if operation == "softplus":
            return len(args) > 2 and float(args[2]) < MIN_SOFTPLUS_THRESHOLD
        if "grid_sampler" in operation:  # linear in the image, piecewise smooth in the grid
            return bool(args[1].requires_grad) or not torch.is_grad_enabled()
        if operation in POWERS:
            position, default = POWERS[operation]
            power = default if len(args) <= position or args[position] is None else float(args[position])
            return power < 2 or power == math.inf
        if operation.startswith("new_") or operation.endswith("_like"):  # uses the shape only
            return False
        is_discrete = isinstance(result, Tensor) and not (result.is_floating_point() or result.is_complex())
        return is_discrete or operation in NONSMOOTH_OPERATIONS
