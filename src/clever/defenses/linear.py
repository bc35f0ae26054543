"""Linear transformations of the rows and of the columns of an image: blur, crops, resizing with padding.

Each is x -> A x B' with a matrix for the height and one for the width, (size, size). So the true derivative is exact
and of every order, and the same on every device; numbers outside [0,1] are not clipped.
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
    """A Gaussian of standard deviation ``sigma`` pixels, cut off at 4 sigma, pixels at the border repeated outside it.

    The smoothing that Xu et al. 2018 and others try first. It has a true gradient (``bpda=False``); with BPDA it shows
    what the identity in its place costs. `InputError` for a sigma that is not positive.
    """

    sigma: float = 0.5
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not is_number(self.sigma) or not 0 < self.sigma < float("inf"):
            raise InputError(f"sigma of the blur is {self.sigma!r}: it must be a positive number of pixels")

    def __call__(self, images: Images) -> Images:
        return _applied(_blurring(images.shape[2], self.sigma), _blurring(images.shape[3], self.sigma), images)


@dataclass(frozen=True)
class Crop(Seeded):
    """A crop of the share ``fraction`` of height and width, at a random place, enlarged bilinearly to the whole size.

    Images in [0,1] pixel space stay in it. Guo et al. 2018 average the class probabilities of 30 such crops:
    ``Expectation(Crop(), draws=30, pooling="probabilities")``.
    """

    fraction: float = 0.9
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("fraction of a crop", self.fraction)

    def __call__(self, images: Images) -> Images:
        generator = self.generator(images)
        height, width = (_cropping(size, self.fraction, generator) for size in images.shape[2:])
        return _applied(height, width, images)


@dataclass(frozen=True)
class ResizePad(Seeded):
    """The image made smaller, its size uniform from the share ``least`` to the whole, at a random place among zeros.

    Xie et al. 2018, with nearest neighbours, as in their program. They go from 299 to 299 ... 330 pixels in 331, that
    is from .903 of the frame up; here the frame is the image's own size, which the network was made for.
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
        height = least + _below(whole - least + 1, generator)
        width = max(1, round(images.shape[3] * height / whole))
        return _applied(_padded(height, whole, generator), _padded(width, images.shape[3], generator), images)


def _check_share(name: str, value: object) -> None:
    if not is_number(value) or not 0 < value < 1:  # type: ignore[operator]
        raise InputError(f"the {name} is {value!r}: it must lie between 0 and 1, which are excluded")


def _applied(height: Matrix, width: Matrix, images: Images) -> Images:
    return height.to(images) @ images @ width.to(images).T


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _blurring(size: int, sigma: float) -> Matrix:
    reach = int(4 * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    places = (torch.arange(size).unsqueeze(1) + offsets).clamp(0, size - 1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, places, (weights / weights.sum()).expand(size, -1))


def _cropping(size: int, fraction: float, generator: Generator) -> Matrix:
    kept = max(1, round(fraction * size))
    start = _below(size - kept + 1, generator)
    part = torch.eye(size, dtype=torch.float64)[:, start : start + kept]
    return functional.interpolate(part.unsqueeze(0), size, mode="linear", align_corners=False)[0].T


def _padded(size: int, frame: int, generator: Generator) -> Matrix:
    start = _below(frame - size + 1, generator)
    matrix = torch.zeros(frame, frame, dtype=torch.float64)
    smaller = functional.interpolate(torch.eye(frame, dtype=torch.float64).unsqueeze(0), size, mode="nearest")[0].T
    matrix[start : start + size] = smaller
    return matrix
