"""Uniform points in the unit balls of the three norms."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from clever.norms import Norm


def uniform(
    norm: Norm, count: int, dimension: int, dtype: torch.dtype, generator: Generator, *, sphere: bool = False
) -> Float[Tensor, "count dimension"]:
    """``count`` independent uniform points in the unit ball, on the generator's device; ``sphere``: on the L1 sphere.

    Uniform points in an Lp ball are g / (||g||_p^p + e)^(1/p), each coordinate of g with density proportional to
    exp(-|t|^p) and e exponential (Barthe, Guedon, Mendelson and Naor, Annals of Probability 33, 2005, theorem 1).
    """
    shape = (count, dimension)

    def rand(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, dtype=dtype, device=generator.device)

    def exponential() -> Tensor:
        return rand(count).neg_().log1p_().neg_()

    if norm is Norm.LINF:
        return rand(*shape).mul_(2).sub_(1)
    if norm is Norm.L2:
        unit = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
        # exp(-t^2) is a Gaussian of variance 1/2, but randn has variance 1: hence the factor 2.
        return unit.div_((unit.square().sum(1) + 2 * exponential()).sqrt_().unsqueeze(1))
    # One uniform number gives both sign and size of a Laplace variable: several times faster than two.
    unit = rand(*shape).mul_(2).sub_(1)
    size = unit.abs().clamp_(max=1 - torch.finfo(dtype).eps).neg_().log1p_().neg_()
    total = size.sum(1)
    if not sphere:
        total += exponential()
    return size.copysign_(unit).div_(total.clamp_(min=torch.finfo(dtype).tiny).unsqueeze(1))
