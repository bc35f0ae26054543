"""The three norms of the papers and their duals."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.choice import Choice


class Norm(Choice):
    """A norm on images; a norm p and its dual q satisfy 1/p + 1/q = 1 (Weng et al. 2018, section 3)."""

    L1 = "L1"
    L2 = "L2"
    LINF = "Linf"

    @property
    def p(self) -> float:
        """The exponent: 1, 2 or infinity."""
        return {Norm.L1: 1.0, Norm.L2: 2.0, Norm.LINF: float("inf")}[self]

    @property
    def dual(self) -> "Norm":
        """The norm of the gradient that bounds the change of a function over a ball of this norm."""
        return {Norm.L1: Norm.LINF, Norm.L2: Norm.L2, Norm.LINF: Norm.L1}[self]

    def of(self, rows: Float[Tensor, "row ..."]) -> Float[Tensor, " row"]:
        """The norm of each row over all its other dimensions. Shape ``(row,)``, dtype of the input.

        Squares neither underflow nor overflow: the result is 0 or infinite only if the norm itself leaves the dtype's
        range.
        """
        flat = rows.flatten(1)
        if self is Norm.LINF:
            return flat.abs().amax(1)  # on the CPU several times faster than vector_norm
        norm: Tensor = torch.linalg.vector_norm(flat, ord=self.p, dim=1)
        if self is Norm.L2:
            safe = norm.isfinite() & (norm > 1e6 * math.sqrt(torch.finfo(norm.dtype).tiny))
            if norm.is_cuda or not bool(safe.all()):  # a check would wait for the GPU
                norm = norm.where(safe, _scaled(flat))
        return norm


def _scaled(rows: Float[Tensor, "row dim"]) -> Float[Tensor, " row"]:
    """The L2 norm of each row, computed from the row divided by its largest entry, so that no square over- or
    underflows."""
    limits = torch.finfo(rows.dtype)
    largest = rows.abs().amax(1, keepdim=True).clamp(limits.tiny, limits.max)
    relative: Tensor = torch.linalg.vector_norm(rows / largest, dim=1)
    return relative * largest.squeeze(1)
