"""The median filter."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.checks import require_int
from clever.errors import InputError


@dataclass(frozen=True)
class Median:
    """Each value is replaced by the median of the ``size`` x ``size`` pixels around it in its channel.

    Xu et al. 2018 (feature squeezing, sizes 2 and 3), with their conventions, which are scipy's: the image is mirrored
    at its borders including the border pixel; an even window extends one pixel further up and left, and its median is
    the upper of the two middle values. The true derivative is that of the selected pixel. `InputError` for images
    smaller than the window, and for a size below 2.
    """

    size: int = 3
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_int("the size of the median filter", self.size, 2)

    def __call__(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch ..."]:
        if self.size > min(images.shape[2:]):
            raise InputError(
                f"the median filter of {self.size} x {self.size} pixels is larger than images of "
                f"{images.shape[2]} x {images.shape[3]}"
            )
        rows, columns = (_mirrored(size, self.size).to(images.device) for size in images.shape[2:])
        windows = images[:, :, rows][:, :, :, columns].unfold(2, self.size, 1).unfold(3, self.size, 1).flatten(-2)
        return windows.kthvalue(self.size**2 // 2 + 1, dim=-1).values


def _mirrored(size: int, window: int) -> Tensor:
    indices = torch.arange(-(window // 2), size + (window - 1) // 2) % (2 * size)
    return torch.where(indices < size, indices, 2 * size - 1 - indices)
