"""How a network is computed at the sampled points: number format, memory layout, compilation."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._functorch import config as functorch
from torch.autograd.function import once_differentiable

from clever._internal.choice import Choice
from clever.classifier.margin import gradient_norms
from clever.norms import Norm


class Precision(Choice):
    """Of the network's arithmetic. The points, their transformation and the norms are always in single precision.

    ``float32``: full single precision. ``tf32``: products with 10 bits behind the point, on GPUs that have them (Ampere
    or later); elsewhere the same as float32. ``bfloat16``: 7 bits, by autocast.
    """

    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"


class Layout(Choice):
    """Of images in memory: channel by channel, or all channels of a pixel together."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"

    @property
    def memory_format(self) -> torch.memory_format:
        """Torch's name of it."""
        return torch.channels_last if self is Layout.CHANNELS_LAST else torch.contiguous_format


class Compilation(Choice):
    """``none``: eager. ``default`` and ``max_autotune``: torch.compile. ``cuda_graphs``: torch.compile, whose kernels a
    GPU then starts all at once (torch's mode reduce-overhead)."""

    NONE = "none"
    DEFAULT = "default"
    CUDA_GRAPHS = "cuda_graphs"
    MAX_AUTOTUNE = "max_autotune"

    @property
    def mode(self) -> str:
        """Torch's name of it."""
        return "reduce-overhead" if self is Compilation.CUDA_GRAPHS else self.value.replace("_", "-")


@dataclass(frozen=True)
class Compute:
    """The three choices, each of which may be given as its name. The defaults change nothing; layout and compilation
    change the rounding only.

    What a lower precision changes depends on the network: `deviation` measures it. `InputError` for an unknown name.
    """

    precision: Precision | str = Precision.FLOAT32
    layout: Layout | str = Layout.CONTIGUOUS
    compilation: Compilation | str = Compilation.NONE

    def __post_init__(self) -> None:
        for name, choice in (("precision", Precision), ("layout", Layout), ("compilation", Compilation)):
            object.__setattr__(self, name, choice.parse(getattr(self, name)))

    def applied(self, network: nn.Module) -> nn.Module:
        """The network computed in this way; the network itself where the choices are the defaults.

        TF32 is a state of the process, not of a network: have the passes, backward ones included, in `arithmetic`.
        """
        return network if self == Compute() else Computed(network, self)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Within it, a GPU uses TF32 only if `Precision.TF32` says so; torch's own default uses it for some layers."""
        backends: tuple[Any, ...] = (
            torch.backends.cuda.matmul,
            torch.backends.cudnn,
        )  # by the names that the compiler still reads
        before = [backend.allow_tf32 for backend in backends]
        try:
            for backend in backends:
                backend.allow_tf32 = self.precision is Precision.TF32
            yield
        finally:
            for backend, was in zip(backends, before, strict=True):
                backend.allow_tf32 = was


class Computed(nn.Module):
    """A copy of a network computed as `Compute` says, its logits in the images' precision."""

    def __init__(self, network: nn.Module, compute: Compute) -> None:
        super().__init__()
        self.layout, compilation = Layout.parse(compute.layout), Compilation.parse(compute.compilation)
        self.network, self.compute = deepcopy(network).to(memory_format=self.layout.memory_format), compute
        self._run: Callable[[Tensor], Tensor] = self.network.__call__
        if compilation is not Compilation.NONE:
            self._run = partial(_Compiled.apply, torch.compile(self.network, mode=compilation.mode))

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """The network's logits."""
        images = images.contiguous(memory_format=self.layout.memory_format)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.compute.precision is Precision.BFLOAT16):
            logits = self._run(images)
        return logits.to(images.dtype)

    def extra_repr(self) -> str:
        """The choices, by which stored numbers are told apart."""
        return repr(self.compute)


class _Compiled(torch.autograd.Function):
    """A compiled network, differentiable once, by the images; its graph serves any number of backward passes.

    One forward pass serves all targets, so that no backward pass may give the memory of its graph to others, as
    compiled ones do by torch's default (donated buffers). That is a setting of the process, read when a graph is
    compiled and when it is run: it is changed around both, and then put back.
    """

    @staticmethod
    def forward(ctx: Any, compiled: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        with functorch.patch(donated_buffer=False), torch.set_grad_enabled(images.requires_grad):
            ctx.images = images.detach().requires_grad_(images.requires_grad)
            ctx.logits = compiled(ctx.images)
        return ctx.logits.detach()  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        with functorch.patch(donated_buffer=False), torch.enable_grad():
            (of_images,) = torch.autograd.grad(ctx.logits, ctx.images, gradient, retain_graph=True)
        return None, of_images


def deviation(
    compute: Compute,
    computed: nn.Module,
    network: nn.Module,
    points: Float[Tensor, "point channel height width"],
    predicted: int,
    targets: Sequence[int],
) -> Float[Tensor, "point t q"]:
    """By which share gradient norms of ``computed``, in the arithmetic of ``compute``, differ from the network's own.

    |a - b| / b, one a norm q, b in full single precision.

    To be set beside the sampling error of a score: a score, g / L, changes by as much as its L does.
    """
    norms = tuple(Norm)
    with compute.arithmetic():
        changed = gradient_norms(computed, points, predicted, targets, norms)
    with Compute().arithmetic():
        exact = gradient_norms(network, points, predicted, targets, norms)
    return (changed - exact).abs() / exact
