"""The number of points per forward pass: chosen for the hardware; no result depends on it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Measure = Callable[[Tensor], Tensor]
"""Maps points (batch, ...) to non-negative values (batch, t, column), t over target classes."""

MAX_POINTS = {"cpu": 256, "cuda": 1024}
"""Larger batches are no faster per point."""
CPU_BYTES = 2**30
"""Memory budget of a pass on the CPU: constant, so that a command always groups its points in the same way."""
OVERHEAD = 2.5
"""Memory of a pass relative to the tensors that autograd saves; covers gradients and kernel workspaces."""


@dataclass
class Capacity:
    """Evaluates a measure at any number of points, at most ``size`` at once; halves ``size`` when out of memory."""

    size: int

    @classmethod
    def estimate(cls, measure: Measure, point: Float[Tensor, "..."]) -> "Capacity":
        """The largest power of two that fits in memory, from the bytes that autograd saves for one point.

        A compiled network runs eagerly here, because autograd hooks do not see the tensors that its graph saves.
        """
        saved: dict[int, int] = {}

        def record(tensor: Tensor) -> Tensor:
            if tensor.grad_fn is not None or tensor.requires_grad or not tensor.is_leaf:
                saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor)
        with hooks, torch.compiler.set_stance("force_eager"):
            measure(point.unsqueeze(0))
        cuda = point.device.type == "cuda"
        budget = torch.cuda.get_device_properties(point.device).total_memory // 2 if cuda else CPU_BYTES
        size = int(budget / (OVERHEAD * max(sum(saved.values()), point.numel() * point.element_size())))
        return cls(1 << max(0, min(size, MAX_POINTS["cuda" if cuda else "cpu"]).bit_length() - 1))

    def run(self, measure: Measure, points: Float[Tensor, "point ..."]) -> Float[Tensor, "point t column"]:
        """``measure`` at all points; `torch.OutOfMemoryError` only if a single point does not fit."""
        while True:
            try:
                return torch.cat([measure(part) for part in points.split(self.size)])
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
            # Outside the handler: its traceback would keep the failed pass's tensors alive.
            torch.cuda.empty_cache()
            self.size //= 2
