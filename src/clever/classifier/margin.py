"""The margin g(x) = f_c(x) - f_j(x) and the dual norms of its gradient."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.errors import InputError
from clever.norms import Norm


def margins(logits: Float[Tensor, "batch class"], predicted: int, targets: Sequence[int]) -> Float[Tensor, "batch t"]:
    """g for one predicted class c and each target class j, row by row."""
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

    def measured(target: int, gradient: Tensor) -> Tensor:
        return torch.stack([norm.of(gradient) for norm in norms], dim=1)

    return map_gradients(network, points, predicted, targets, measured)


def map_gradients(
    network: nn.Module,
    points: Float[Tensor, "batch ..."],
    predicted: int,
    targets: Sequence[int],
    measured: Callable[[int, Tensor], Tensor],
) -> Float[Tensor, "batch t column"]:
    """What ``measured(j, grad g(x))``, (batch, column), says of the gradient of each target class j at each point.

    One forward pass serves all targets and each target's gradient all columns; the parameters get no gradients. The
    rows must be independent, as they are in evaluation mode. NaN wherever the margin is NaN or infinite, whatever
    autograd makes of that (`torch.where` makes zero of it).
    """
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        of_point = margins(network(points), predicted, targets)
        of_target = of_point.sum(0).unbind()
        if not of_target[0].requires_grad:
            raise InputError(
                "the logits do not depend on the input in a way that can be differentiated: put the part that "
                "cannot be differentiated into clever.BPDA"
            )
        columns = []
        for index, margin in enumerate(of_target):
            (gradient,) = torch.autograd.grad(margin, points, retain_graph=index < len(targets) - 1)
            columns.append(measured(targets[index], gradient))
    return torch.stack(columns, dim=1) + 0 * of_point.detach().unsqueeze(2)
