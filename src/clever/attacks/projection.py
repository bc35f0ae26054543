"""The nearest point of a ball."""

import torch
from jaxtyping import Float
from torch import Tensor

from clever.norms import Norm


def projected(change: Float[Tensor, "row ..."], norm: Norm, radius: Float[Tensor, " row"]) -> Float[Tensor, "row ..."]:
    """The Euclidean projection of each row onto the ball of its radius around 0 (for L1, Duchi et al. 2008)."""
    limit = radius.view(-1, *[1] * (change.ndim - 1))
    if norm is Norm.LINF:
        return change.clamp(-limit, limit)
    if norm is Norm.L2:
        length = norm.of(change).clamp(min=1e-12).view_as(limit)
        return change * (limit / length).clamp(max=1)
    sizes = change.flatten(1).abs()
    largest, counts = sizes.sort(1, descending=True).values, torch.arange(1, sizes.shape[1] + 1, device=sizes.device)
    excess = largest.cumsum(1) - radius.unsqueeze(1)
    last = (largest * counts > excess).sum(1, keepdim=True).clamp(min=1)
    off = (excess.gather(1, last - 1) / last).clamp(min=0)
    return change.sign() * (sizes - off).clamp(min=0).view_as(change)
