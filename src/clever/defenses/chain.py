"""Composition of defenses, and the identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from clever._internal.types import Images, Transformation
from clever.defenses.capabilities import has_useful_gradient, steps_of
from clever.defenses.expectation import Expectation
from clever.defenses.random import Random
from clever.defenses.staircase import Steps
from clever.errors import InputError


@dataclass(frozen=True)
class Identity:
    """No defense: t(x) = x, for images of any shape and pixel range."""

    def __call__(self, images: Images) -> Images:
        return images


@dataclass(frozen=True)
class Chain:
    """A composition of transformations, t(x) = t_n(... t_1(x)), for images (batch, channel, height, width) in [0,1].

    `InputError` for an empty list, and for an `Expectation` in it, which does not map images to images.

        clever.Chain([clever.BitDepth(bits=3), clever.JPEG(quality=75)])
    """

    transformations: Sequence[Transformation]

    def __post_init__(self) -> None:
        if not self.transformations:
            raise InputError("a chain of defenses must not be empty")
        if any(isinstance(transformation, Expectation) for transformation in self.transformations):
            raise InputError(
                "a chain cannot contain an Expectation, which does not map images to images: use "
                "Expectation(Chain(...))"
            )
        object.__setattr__(self, "transformations", tuple(self.transformations))

    def __call__(self, images: Images) -> Images:
        return reduce(lambda image, transformation: transformation(image), self.transformations, images)

    def drawn(self, index: int) -> "Chain":
        """The chain with draw ``index`` of each random transformation."""
        return Chain([part.drawn(index) if isinstance(part, Random) else part for part in self.transformations])

    def steps(self) -> Steps:
        """The steps of the whole chain; `InputError` if any part has no known steps."""
        chained = parts(self)
        if not chained:
            raise InputError(f"{self} is the identity, which has no steps")
        for part in chained:
            steps_of(part)
        return reduce(Steps.then, chained[1:], steps_of(chained[0]))

    @property
    def useful_gradient(self) -> bool:
        """Whether every part has a useful gradient; False for a chain of identities."""
        chained = parts(self)
        return bool(chained) and all(map(has_useful_gradient, chained))


def parts(transformation: Transformation) -> list[Transformation]:
    """The transformations of a chain, with nested chains flattened and identities removed."""
    if isinstance(transformation, Chain):
        return [part for nested in transformation.transformations for part in parts(nested)]
    return [] if isinstance(transformation, Identity) else [transformation]
