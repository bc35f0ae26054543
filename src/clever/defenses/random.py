"""Random transformations: each draw of one is a transformation like any other, whatever process or device it is on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

from torch import Generator, Tensor

from clever._internal.checks import require_int
from clever._internal.generators import torch_generator


@runtime_checkable
class Random(Protocol):
    """A transformation with randomness in it, which is one fixed draw of itself.

    It maps images in [0,1] pixel space, (batch, channel, height, width), to images of that shape. Any class with these
    two methods is one; `Seeded` is the short way to it.
    """

    def __call__(self, images: Tensor) -> Tensor:
        """This draw of it: the same images give the same result."""
        ...

    def drawn(self, index: int) -> Callable[[Tensor], Tensor]:
        """The draw of that number, from 0 up."""
        ...


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """The randomness of a transformation: ``seed``, and which ``draw`` of that seed it is.

    Guarantee: what is drawn is a function of kind, seed, draw and image shape alone. So every point and every image
    sees the same draws (common random numbers), in every process and on every device, and f(t(x)) is deterministic. The
    transformations themselves map images in [0,1] pixel space. `InputError` for a seed or a draw below 0.
    """

    seed: int = 1215
    draw: int = 0

    def __post_init__(self) -> None:
        require_int("the seed of a random defense", self.seed, 0, 2**63 - 1)
        require_int("the draw of a random defense", self.draw, 0)

    def drawn(self, index: int) -> Self:
        """The same transformation, another draw of it."""
        return replace(self, draw=index)

    def generator(self, images: Tensor) -> Generator:
        """Of this draw for images (batch, ...) of that shape, on the CPU: those of other devices draw other numbers."""
        return torch_generator(f"{type(self).__name__}/{self.seed}/{self.draw}/{tuple(images.shape[1:])}")
