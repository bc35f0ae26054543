"""A network that counts its passes."""

from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.types import Transformation
from clever.defenses.bpda import Defended
from clever.defenses.expectation import Expectation


class PassCounter(nn.Module):
    """A network with counts of its forward and backward passes; a mean over draws counts one pass for each draw.

    A backward pass is counted where the input requires a gradient.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards = network, 0, 0
        self.draws = draws_per_image(network.defense) if isinstance(network, Defended) else 1

    def forward(self, images: Float[Tensor, "row channel height width"]) -> Float[Tensor, "row class"]:
        """The network's logits."""
        self.forwards += self.draws
        self.backwards += self.draws * images.requires_grad
        return self.network(images)  # type: ignore[no-any-return]


def draws_per_image(defense: Transformation) -> int:
    """The number of draws of an `Expectation`; 1 for any other defense."""
    return defense.draws if isinstance(defense, Expectation) else 1
