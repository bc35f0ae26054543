"""The margin g(x) = f_c(x) - f_j(x) and the dual norms of its gradient."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.errors import InputError
from clever.norms import Norm


def margins(logits: Float[Tensor, "batch class"], predicted: int, targets: Sequence[int]) -> Float[Tensor, "batch t"]:
    """g for the predicted class c and each target class j, for each row."""
    return logits[:, [predicted]] - logits[:, list(targets)]


def gradient_norms(
    network: nn.Module,
    points: Float[Tensor, "batch ..."],
    predicted: int,
    targets: Sequence[int],
    norms: Sequence[Norm],
) -> Float[Tensor, "batch t q"]:
    """||grad g(x)||_q at each point, for each target class and each norm q of ``norms``.

    Units: logits per unit of [0,1] pixel space; see `map_gradients`.
    """

    def stacked_norms(_: int, gradient: Tensor) -> Tensor:
        return torch.stack([norm.of(gradient) for norm in norms], dim=1)

    return map_gradients(network, points, predicted, targets, stacked_norms)


def map_gradients(
    network: nn.Module,
    points: Float[Tensor, "batch ..."],
    predicted: int,
    targets: Sequence[int],
    function: Callable[[int, Tensor], Tensor],
) -> Float[Tensor, "batch t column"]:
    """``function(j, grad g(x))``, (batch, column), for each target class j at each point.

    One forward pass serves all targets, and one gradient per target serves all columns; parameters get no gradients.
    Rows must be independent, as in evaluation mode. NaN wherever the margin is NaN or infinite, even where autograd
    returns zero (as for `torch.where`). `InputError` if the logits are not differentiable in the input.
    """
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        point_margins = margins(network(points), predicted, targets)
        summed = point_margins.sum(0).unbind()
        if not summed[0].requires_grad:
            raise InputError(
                "the logits are not differentiable in the input: wrap the non-differentiable part in clever.BPDA"
            )
        columns = []
        for index, margin in enumerate(summed):
            (gradient,) = torch.autograd.grad(margin, points, retain_graph=index < len(targets) - 1)
            columns.append(function(targets[index], gradient))
    return torch.stack(columns, dim=1) + 0 * point_margins.detach().unsqueeze(2)
