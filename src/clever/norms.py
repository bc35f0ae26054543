"""The three norms of the papers and their duals."""

import torch
from jaxtyping import Float
from torch import Tensor

from clever.choice import Choice


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
        """The norm of each row, all other dimensions taken together. Shape ``(row,)``, dtype of the input."""
        flat = rows.flatten(1)
        if self is Norm.LINF:
            return flat.abs().amax(1)  # on the CPU several times faster than vector_norm
        norm: Tensor = torch.linalg.vector_norm(flat, ord=self.p, dim=1)
        return norm
