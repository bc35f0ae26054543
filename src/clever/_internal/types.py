"""Shared types."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch channel height width"]
"""A batch of images."""
Transformation = Callable[[Tensor], Tensor]
"""Maps images in [0,1], (batch, channel, height, width), to images in [0,1] of the same shape, row by row."""
