"""Several defenses one after the other, and none: the identity."""

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
    """No defense: t(x) = x, for images of any shape; outside [0,1], too."""

    def __call__(self, images: Images) -> Images:
        return images


@dataclass(frozen=True)
class Chain:
    """Several transformations, the first applied first: t(x) = t_n(... t_1(x)), for images (batch, channel, height,
    width) in [0,1].

    `InputError` for none, and for an `Expectation` among them, which is no map of images.
    """

    transformations: Sequence[Transformation]

    def __post_init__(self) -> None:
        if not self.transformations:
            raise InputError("a chain of defenses needs at least one")
        if any(isinstance(one, Expectation) for one in self.transformations):
            raise InputError("an expectation is no map of images: take that of the chain, not a chain with one in it")
        object.__setattr__(self, "transformations", tuple(self.transformations))

    def __call__(self, images: Images) -> Images:
        return reduce(lambda image, transformation: transformation(image), self.transformations, images)

    def drawn(self, index: int) -> "Chain":
        """With the draw of that number of each random transformation in it; itself where there is none."""
        return Chain([one.drawn(index) if isinstance(one, Random) else one for one in self.transformations])

    def steps(self) -> Steps:
        """Those of the first, with the levels that the others make of its own; `InputError` where one has no steps."""
        known = parts(self)
        if not known:
            raise InputError(f"{self} is the identity, which has no steps")
        for one in known:
            steps_of(one)
        return reduce(Steps.then, known[1:], steps_of(known[0]))

    @property
    def useful_gradient(self) -> bool:
        """Whether each of its parts has one; of the identity alone there is none that is its own."""
        known = parts(self)
        return bool(known) and all(map(has_useful_gradient, known))


def parts(transformation: Transformation) -> list[Transformation]:
    """The transformations of a chain, of chains in it too, without identities."""
    if isinstance(transformation, Chain):
        return [part for one in transformation.transformations for part in parts(one)]
    return [] if isinstance(transformation, Identity) else [transformation]
