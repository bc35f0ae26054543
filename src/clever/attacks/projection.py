"""Projection onto norm balls."""

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.broadcast import per_row
from clever.norms import Norm


def project(change: Float[Tensor, "row ..."], norm: Norm, radius: Float[Tensor, " row"]) -> Float[Tensor, "row ..."]:
    """The Euclidean projection of each row onto the ball of its radius around 0 (for L1, Duchi et al. 2008)."""
    limit = per_row(radius, change)
    if norm is Norm.LINF:
        return change.clamp(-limit, limit)
    if norm is Norm.L2:
        length = norm.of(change).clamp(min=1e-12).view_as(limit)
        return change * (limit / length).clamp(max=1)
    sizes = change.flatten(1).abs()
    largest, counts = sizes.sort(1, descending=True).values, torch.arange(1, sizes.shape[1] + 1, device=sizes.device)
    excess = largest.cumsum(1) - radius.unsqueeze(1)
    last = (largest * counts > excess).sum(1, keepdim=True).clamp(min=1)
    threshold = (excess.gather(1, last - 1) / last).clamp(min=0)
    return change.sign() * (sizes - threshold).clamp(min=0).view_as(change)
