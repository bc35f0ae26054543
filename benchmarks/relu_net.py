"""ReLU networks of two hidden layers, in double precision, and what interval arithmetic says of them in a ball."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pipeline.model.optimisers import OneCycle
from pipeline.model.training import Recipe, train

Array = NDArray[np.float64]
Ends = tuple[Array, Array]
"""The lower and the upper end of each number."""
HELD_OUT = 360
"""Digits, the last ones of the data set, that are not trained on."""


def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits as they are, (1797, 1, 8, 8) in [0,1] and double precision, and their classes."""
    data = load_digits()
    return torch.from_numpy(data.images / 16).unsqueeze(1), torch.from_numpy(data.target.astype(np.int64))


def trained(seed: int, hidden: int = 16, epochs: int = 40) -> nn.Sequential:
    """A network of two hidden layers on the digits that are not held out."""
    images, labels = digits()
    torch.manual_seed(seed)
    layers = nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10)
    network = nn.Sequential(nn.Flatten(), *layers).double()
    recipe = Recipe(epochs=epochs, batch=64, learning_rate=0.01, seed=seed, optimiser=OneCycle())
    train(network, images[:-HELD_OUT], labels[:-HELD_OUT], recipe, description=f"network {seed}")
    return network


@dataclass(frozen=True)
class Margin:
    """g(x) = v'h2 + constant, h2 = relu(W2 h1 + b2), h1 = relu(W1 x + b1), for a flat x.

    ``weights``: W1 and W2; ``shifts``: b1 and b2; ``last``: v, the difference of two rows of the last layer.
    """

    weights: tuple[Array, Array]
    shifts: tuple[Array, Array]
    last: Array
    constant: float

    @classmethod
    def of(cls, network: nn.Sequential, predicted: int, target: int) -> "Margin":
        """f_c - f_j of a network with three linear layers."""
        linear = [module for module in network if isinstance(module, nn.Linear)]
        first, second, third = (layer.weight.detach().double().numpy() for layer in linear)
        shifts = [layer.bias.detach().double().numpy() for layer in linear]
        last, constant = third[predicted] - third[target], float(shifts[2][predicted] - shifts[2][target])
        return cls((first, second), (shifts[0], shifts[1]), last, constant)

    def __call__(self, x: Array) -> float:
        """Its value."""
        for weight, shift in zip(self.weights, self.shifts, strict=True):
            x = np.maximum(weight @ x + shift, 0)
        return float(self.last @ x + self.constant)

    def before_relu(self, low: Array, high: Array) -> list[Ends]:
        """Of each hidden layer: between which numbers its units lie, before the ReLU, for every x in the box."""
        found = []
        for weight, shift in zip(self.weights, self.shifts, strict=True):
            middle, half = weight @ (low + high) / 2 + shift, np.abs(weight) @ (high - low) / 2
            found.append((middle - half, middle + half))
            low, high = (np.maximum(end, 0) for end in found[-1])
        return found

    def lipschitz_bound(self, low: Array, high: Array) -> float:
        """Above ||grad g(x)||_1 for every x in the box, so above the Lipschitz constant in Linf there.

        grad g = W1' D1 W2' D2 v with derivatives D of the ReLUs that are 1 for a unit that is positive in the whole
        box, 0 for one that is negative, and anything in [0,1] for the others: interval arithmetic, from v back.
        """
        below = above = self.last
        for weight, (least, most) in zip(self.weights[::-1], self.before_relu(low, high)[::-1], strict=True):
            always, never = least > 0, most < 0
            below = np.where(always, below, np.where(never, 0, np.minimum(below, 0)))
            above = np.where(always, above, np.where(never, 0, np.maximum(above, 0)))
            middle, half = weight.T @ (below + above) / 2, np.abs(weight.T) @ (above - below) / 2
            below, above = middle - half, middle + half
        return float(np.maximum(np.abs(below), np.abs(above)).sum())


def box(x: Array, radius: float) -> Ends:
    """The images of the Linf ball: its intersection with [0,1]^d."""
    return np.maximum(x - radius, 0), np.minimum(x + radius, 1)
