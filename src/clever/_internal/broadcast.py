"""Broadcasting of one value per row."""

from torch import Tensor


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """Values (row,) in a shape that broadcasts over ``like``, (row, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))
