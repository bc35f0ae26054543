"""How many points go through the network at once: the batch for the hardware, which no result depends on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Measure = Callable[[Tensor], Tensor]
"""A non-negative quantity at points (batch, ...): (batch, t, column) for the targets and what is measured."""

MOST = {"cpu": 256, "cuda": 1024}
"""Beyond these, a pass gets no faster."""
CPU_BYTES = 2**30
"""What a pass may hold on the CPU: a constant, so that the same command groups its points in the same way."""
OVERHEAD = 2.5
"""Memory of a pass over what autograd saves: gradients on their way back and the workspaces of the kernels."""


@dataclass
class Capacity:
    """Runs a measure on any number of points, at most ``size`` at once; halves ``size`` when memory runs out."""

    size: int

    @classmethod
    def of(cls, measure: Measure, point: Float[Tensor, "..."]) -> "Capacity":
        """The power of two that fits, from the bytes that one point's graph saves (any device, no trial and error).

        A compiled network is measured as it was before, since what its graph saves shows in no tensor of autograd's.
        """
        saved: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            if tensor.grad_fn is not None or tensor.requires_grad or not tensor.is_leaf:
                saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
        with hooks, torch.compiler.set_stance("force_eager"):
            measure(point.unsqueeze(0))
        cuda = point.device.type == "cuda"
        budget = torch.cuda.get_device_properties(point.device).total_memory // 2 if cuda else CPU_BYTES
        size = int(budget / (OVERHEAD * max(sum(saved.values()), point.numel() * point.element_size())))
        return cls(1 << max(0, min(size, MOST["cuda" if cuda else "cpu"]).bit_length() - 1))

    def run(self, measure: Measure, points: Float[Tensor, "point ..."]) -> Float[Tensor, "point t column"]:
        """``measure`` of all the points; `torch.OutOfMemoryError` only where a single point does not fit."""
        while True:
            try:
                return torch.cat([measure(part) for part in points.split(self.size)])
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
            # Outside the handler, whose traceback would keep the failed pass's tensors alive.
            torch.cuda.empty_cache()
            self.size //= 2
