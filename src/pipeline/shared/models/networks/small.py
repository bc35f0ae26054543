"""The paper's second-order networks with smooth activations: a small two-layer MLP and a seven-layer CNN."""

import torch
from torch import nn

from pipeline.shared.models.networks.activations import get_activation

SIGMOID_GAIN = 4.0
"""Factor on initial weights: the sigmoid's slope is at most 1/4, so signals would vanish in a deep network."""
SIGMOID_OFFSET = 0.5
"""Sigmoid of zero, subtracted by the initial bias of the next layer."""


def mlp(*, activation: str, size: int, channels: int, hidden: int, classes: int) -> nn.Sequential:
    """Logits of images (batch, channels, size, size) from one hidden layer."""
    act = get_activation(activation)
    layers = nn.Flatten(), nn.Linear(channels * size**2, hidden), act(), nn.Linear(hidden, classes)
    return _with_gain(nn.Sequential(*layers), activation)


def cnn(*, activation: str, size: int, channels: int, width: int, hidden: int, classes: int) -> nn.Sequential:
    """Logits from four convolutions with two average poolings, and three linear layers; ``size`` a multiple of 8.

    The authors' CNN uses max pooling, which is not differentiable at ties. An additional pooling comes first, since
    digits enlarged to 32 pixels have no finer detail.
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
    """Scale the initial weights of a sigmoid network so that it can be trained."""
    if activation == "sigmoid":
        with torch.no_grad():
            for module in network:
                if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                    module.weight *= SIGMOID_GAIN
                    module.bias.copy_(-SIGMOID_OFFSET * module.weight.flatten(1).sum(1))
    return network
