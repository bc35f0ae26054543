"""The paper's networks for the second order: a two-layer MLP and a seven-layer CNN, small, with smooth activations."""

import torch
from torch import nn

from pipeline.shared.models.networks.activations import get_activation

SIGMOID_GAIN = 4.0
"""The sigmoid's slope is 1/4 at most: with usual initial weights, the signal of a deep network dies out."""
SIGMOID_MIDDLE = 0.5
"""The sigmoid of zero, which the next layer's initial bias takes away."""


def mlp(*, activation: str, size: int, channels: int, hidden: int, classes: int) -> nn.Sequential:
    """Logits of images (batch, channels, size, size) from one hidden layer."""
    act = get_activation(activation)
    layers = nn.Flatten(), nn.Linear(channels * size**2, hidden), act(), nn.Linear(hidden, classes)
    return _with_gain(nn.Sequential(*layers), activation)


def cnn(*, activation: str, size: int, channels: int, width: int, hidden: int, classes: int) -> nn.Sequential:
    """Logits from four convolutions with two average poolings, and three linear layers; ``size`` a multiple of 8.

    The authors' CNN pools by the maximum, which is not differentiable where two values tie. Another pooling comes
    before all else: digits enlarged to 32 pixels have no finer detail.
    """
    act = get_activation(activation)

    def convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
        return nn.Conv2d(inputs, outputs, 3, padding=1), act()

    network = nn.Sequential(
        nn.AvgPool2d(2),
        *convolution(channels, width),
        *convolution(width, width),
        nn.AvgPool2d(2),
        *convolution(width, 2 * width),
        *convolution(2 * width, 2 * width),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (size // 8) ** 2, hidden),
        act(),
        nn.Linear(hidden, hidden),
        act(),
        nn.Linear(hidden, classes),
    )
    return _with_gain(network, activation)


def _with_gain(network: nn.Sequential, activation: str) -> nn.Sequential:
    """Initial weights that a sigmoid network can be trained from."""
    if activation == "sigmoid":
        with torch.no_grad():
            for module in network:
                if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                    module.weight *= SIGMOID_GAIN
                    module.bias.copy_(-SIGMOID_MIDDLE * module.weight.flatten(1).sum(1))
    return network
