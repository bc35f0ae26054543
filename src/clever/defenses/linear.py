"""Linear transformations of the rows and columns of an image: blur, crops, resizing with padding.

Each is x -> A x B' with a matrix for the height and one for the width, (size, size). So true derivatives of all orders
are exact and equal on every device; values outside [0,1] are not clipped.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional

from clever._internal.checks import is_number
from clever._internal.types import Images
from clever.defenses.random import Seeded
from clever.errors import InputError

Matrix = Float[Tensor, "size size"]


@dataclass(frozen=True)
class GaussianBlur:
    """Gaussian blur of standard deviation ``sigma`` pixels, truncated at 4 sigma, with border pixels repeated.

    The smoothing that Xu et al. 2018 and others try first. It has a useful true gradient (``bpda=False``), against
    which BPDA's identity can be compared. `InputError` for a sigma that is not positive.
    """

    sigma: float = 0.5
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not is_number(self.sigma) or not 0 < self.sigma < float("inf"):
            raise InputError(f"sigma of the blur is {self.sigma!r}: it must be a positive number of pixels")

    def __call__(self, images: Images) -> Images:
        return _apply(_blur_matrix(images.shape[2], self.sigma), _blur_matrix(images.shape[3], self.sigma), images)


@dataclass(frozen=True)
class Crop(Seeded):
    """A crop of ``fraction`` of the height and width, at a random position, resized bilinearly to the full size.

    Images in [0,1] stay in [0,1]. Guo et al. 2018 average the class probabilities of 30 such crops:
    ``Expectation(Crop(), draws=30, pooling="probabilities")``. `InputError` unless ``fraction`` is between 0 and 1.
    """

    fraction: float = 0.9
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("fraction of a crop", self.fraction)

    def __call__(self, images: Images) -> Images:
        generator = self.generator(images)
        height, width = (_crop_matrix(size, self.fraction, generator) for size in images.shape[2:])
        return _apply(height, width, images)


@dataclass(frozen=True)
class ResizePad(Seeded):
    """The image, resized by a random factor from ``least`` to 1, at a random position in a frame of zeros.

    Xie et al. 2018, with nearest-neighbour interpolation as in their code. They resize 299 pixels to 299 ... 330 in a
    frame of 331, that is to at least 0.903 of the frame; here the frame has the image's own size, which is the
    network's input size. Images in [0,1] stay in [0,1]. `InputError` unless ``least`` is between 0 and 1.
    """

    least: float = 0.9
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("least share of resizing", self.least)

    def __call__(self, images: Images) -> Images:
        generator = self.generator(images)
        whole = images.shape[2]
        least = max(1, round(self.least * whole))
        height = least + _random_int(whole - least + 1, generator)
        width = max(1, round(images.shape[3] * height / whole))
        return _apply(_pad_matrix(height, whole, generator), _pad_matrix(width, images.shape[3], generator), images)


def _check_share(name: str, value: object) -> None:
    if not is_number(value) or not 0 < value < 1:  # type: ignore[operator]
        raise InputError(f"the {name} is {value!r}: it must be greater than 0 and less than 1")


def _apply(height: Matrix, width: Matrix, images: Images) -> Images:
    return height.to(images) @ images @ width.to(images).T


def _random_int(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _blur_matrix(size: int, sigma: float) -> Matrix:
    radius = int(4 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    columns = (torch.arange(size).unsqueeze(1) + offsets).clamp(0, size - 1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, columns, (weights / weights.sum()).expand(size, -1))


def _crop_matrix(size: int, fraction: float, generator: Generator) -> Matrix:
    length = max(1, round(fraction * size))
    start = _random_int(size - length + 1, generator)
    part = torch.eye(size, dtype=torch.float64)[:, start : start + length]
    return functional.interpolate(part.unsqueeze(0), size, mode="linear", align_corners=False)[0].T


def _pad_matrix(size: int, frame: int, generator: Generator) -> Matrix:
    start = _random_int(frame - size + 1, generator)
    matrix = torch.zeros(frame, frame, dtype=torch.float64)
    smaller = functional.interpolate(torch.eye(frame, dtype=torch.float64).unsqueeze(0), size, mode="nearest")[0].T
    matrix[start : start + size] = smaller
    return matrix
