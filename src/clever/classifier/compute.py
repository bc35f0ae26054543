"""How a network is evaluated at the sampled points: number format, memory layout, compilation."""

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
    """The precision of the network's arithmetic. Points, transformations and norms are always in single precision.

    ``float32``: full single precision. ``tf32``: products with a 10-bit mantissa on GPUs that support it (Ampere or
    later), elsewhere float32. ``bfloat16``: a 7-bit mantissa, by autocast.
    """

    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"


class Layout(Choice):
    """The memory layout of images: channel by channel, or all channels of a pixel together."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"

    @property
    def memory_format(self) -> torch.memory_format:
        """The corresponding torch memory format."""
        return torch.channels_last if self is Layout.CHANNELS_LAST else torch.contiguous_format


class Compilation(Choice):
    """``none``: eager. ``default`` and ``max_autotune``: torch.compile. ``cuda_graphs``: torch.compile in the mode
    reduce-overhead, which launches all kernels at once."""

    NONE = "none"
    DEFAULT = "default"
    CUDA_GRAPHS = "cuda_graphs"
    MAX_AUTOTUNE = "max_autotune"

    @property
    def mode(self) -> str:
        """The corresponding mode of torch.compile."""
        return "reduce-overhead" if self is Compilation.CUDA_GRAPHS else self.value.replace("_", "-")


@dataclass(frozen=True)
class Compute:
    """Precision, layout and compilation of a network, each as a name or enumeration member.

    ``precision``: "float32", "tf32" or "bfloat16". ``layout``: "contiguous" or "channels_last". ``compilation``:
    "none", "default", "cuda_graphs" or "max_autotune". The defaults leave the network as it is; layout and compilation
    affect rounding only. The error of a lower precision depends on the network: `deviation` measures it. `InputError`
    for an unknown name.

        faster = clever.Compute(precision="bfloat16").applied(network)
    """

    precision: Precision | str = Precision.FLOAT32
    layout: Layout | str = Layout.CONTIGUOUS
    compilation: Compilation | str = Compilation.NONE

    def __post_init__(self) -> None:
        for name, choice in (("precision", Precision), ("layout", Layout), ("compilation", Compilation)):
            object.__setattr__(self, name, choice.parse(getattr(self, name)))

    def applied(self, network: nn.Module) -> nn.Module:
        """The network wrapped with these choices; the network itself for the defaults.

        TF32 is a setting of the process, not of a network: run forward and backward passes within `arithmetic`.
        """
        return network if self == Compute() else Computed(network, self)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Within this context, a GPU uses TF32 only for `Precision.TF32`; torch's default uses it in some layers."""
        # torch.compile still reads these older settings.
        backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        before = [backend.allow_tf32 for backend in backends]
        try:
            for backend in backends:
                backend.allow_tf32 = self.precision is Precision.TF32
            yield
        finally:
            for backend, was in zip(backends, before, strict=True):
                backend.allow_tf32 = was


class Computed(nn.Module):
    """A copy of a network evaluated according to `Compute`, with logits in the images' dtype."""

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
        """The choices, which are part of cache keys."""
        return repr(self.compute)


class _Compiled(torch.autograd.Function):
    """A compiled network with first derivatives in the images, whose graph allows repeated backward passes.

    One forward pass serves all targets, so a backward pass must not reuse the memory of its graph, which compiled ones
    do by default (donated buffers). That process-wide setting is read when a graph is compiled and when it is run: it
    is changed around both and then restored.
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
            (image_gradient,) = torch.autograd.grad(ctx.logits, ctx.images, gradient, retain_graph=True)
        return None, image_gradient


def deviation(
    compute: Compute,
    computed: nn.Module,
    network: nn.Module,
    points: Float[Tensor, "point channel height width"],
    predicted: int,
    targets: Sequence[int],
) -> Float[Tensor, "point t q"]:
    """The relative deviation |a - b| / b of gradient norms, for each point, target class and norm q.

    a: the norms of ``computed`` in the arithmetic of ``compute``; b: those of ``network`` in full single precision.
    Compare it with the sampling error of a score: the relative change of a score g / L is that of L.
    """
    norms = tuple(Norm)
    with compute.arithmetic():
        changed = gradient_norms(computed, points, predicted, targets, norms)
    with Compute().arithmetic():
        exact = gradient_norms(network, points, predicted, targets, norms)
    return (changed - exact).abs() / exact
