"""Random transformations; each draw is a fixed transformation, the same in every process and on every device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

from torch import Generator, Tensor

from clever._internal.checks import require_int
from clever._internal.generators import torch_generator


@runtime_checkable
class Random(Protocol):
    """The protocol of random transformations; each object is one fixed draw.

    It maps images in [0,1], (batch, channel, height, width), to images of the same shape. Any class with these two
    methods qualifies; subclassing `Seeded` is the easiest way.
    """

    def __call__(self, images: Tensor) -> Tensor:
        """Apply this draw: the same images give the same result."""
        ...

    def drawn(self, index: int) -> Callable[[Tensor], Tensor]:
        """Draw number ``index``, counted from 0."""
        ...


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """The base class of random transformations: ``seed``, and the number of the ``draw`` with that seed.

    Guarantee: the random numbers depend only on class name, seed, draw and image shape. So all points and images share
    the same draws (common random numbers), in every process and on every device, and f(t(x)) is deterministic.
    `InputError` for a seed or a draw below 0. Subclasses map images (batch, channel, height, width) in [0,1] to images
    of the same shape:

        @dataclass(frozen=True)
        class Flip(clever.Seeded):
            def __call__(self, images):
                flip = torch.rand((), generator=self.generator(images)) < 0.5
                return images.flip(3) if flip else images
    """

    seed: int = 1215
    draw: int = 0

    def __post_init__(self) -> None:
        require_int("the seed of a random defense", self.seed, 0, 2**63 - 1)
        require_int("the draw of a random defense", self.draw, 0)

    def drawn(self, index: int) -> Self:
        """The same transformation with draw number ``index``."""
        return replace(self, draw=index)

    def generator(self, images: Tensor) -> Generator:
        """The generator of this draw for images (batch, ...) of this shape; on the CPU, because random streams differ
        by device."""
        return torch_generator(f"{type(self).__name__}/{self.seed}/{self.draw}/{tuple(images.shape[1:])}")
