"""The three norms of the papers and their duals."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.choice import Choice


class Norm(Choice):
    """A norm on images, 1/p + 1/q = 1 between a norm and its dual (Weng et al. 2018, section 3)."""

    L1 = "L1"
    L2 = "L2"
    LINF = "Linf"

    @property
    def p(self) -> float:
        """The exponent: 1, 2 or infinity."""
        return {Norm.L1: 1.0, Norm.L2: 2.0, Norm.LINF: float("inf")}[self]

    @property
    def dual(self) -> "Norm":
        """The norm of gradients that bounds the change of a function over a ball of this norm."""
        return {Norm.L1: Norm.LINF, Norm.L2: Norm.L2, Norm.LINF: Norm.L1}[self]

    def of(self, rows: Float[Tensor, "row ..."]) -> Float[Tensor, " row"]:
        """The norm of each row, all other dimensions taken together. Shape ``(row,)``, dtype of the input.

        Zero, or infinite, only where the norm itself is, to the dtype's range: squares neither underflow nor overflow.
        """
        flat = rows.flatten(1)
        if self is Norm.LINF:
            return flat.abs().amax(1)  # on the CPU several times faster than vector_norm
        norm: Tensor = torch.linalg.vector_norm(flat, ord=self.p, dim=1)
        if self is Norm.L2:
            safe = norm.isfinite() & (norm > 1e6 * math.sqrt(torch.finfo(norm.dtype).tiny))
            if norm.is_cuda or not bool(safe.all()):  # to look would be to wait for the GPU
                norm = norm.where(safe, _scaled(flat))
        return norm


def _scaled(rows: Float[Tensor, "row dim"]) -> Float[Tensor, " row"]:
    """The L2 norm where a sum of squares would leave the range of the numbers, or lose some of its terms below it."""
    numbers = torch.finfo(rows.dtype)
    largest = rows.abs().amax(1, keepdim=True).clamp(numbers.tiny, numbers.max)
    relative: Tensor = torch.linalg.vector_norm(rows / largest, dim=1)
    return relative * largest.squeeze(1)
