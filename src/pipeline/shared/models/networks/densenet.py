"""DenseNet with any activation, as torchvision's has ReLU alone."""

from typing import Any

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from pipeline.shared.models.networks.activations import get_activation


class DenseNet(torchvision.models.DenseNet):  # type: ignore[misc]
    """Torchvision's DenseNet, with its weights' names, and ``activation`` in the place of every ReLU.

    With ``relu`` it is torchvision's network, to the last bit. Any other activation is meant for a network with two
    derivatives, and so the one max pooling becomes an average pooling of the same window.
    """

    def __init__(self, activation: str = "relu", **architecture: Any) -> None:
        super().__init__(**architecture)
        act = get_activation(activation)
        if activation != "relu":
            self.features.pool0 = nn.AvgPool2d(3, stride=2, padding=1)
            for module in list(self.modules()):
                for name, child in module.named_children():
                    if isinstance(child, nn.ReLU):
                        setattr(module, name, act())
        self.last = act()

    def forward(self, x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class"]:
        """Logits of normalised images."""
        pooled = adaptive_avg_pool2d(self.last(self.features(x)), (1, 1))
        return self.classifier(torch.flatten(pooled, 1))  # type: ignore[no-any-return]
