"""Torchvision's DenseNet with any activation function."""

from typing import Any

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from pipeline.shared.models.networks.activations import get_activation


class DenseNet(torchvision.models.DenseNet):  # type: ignore[misc]
    """Torchvision's DenseNet with ``activation`` instead of ReLU; parameter names are unchanged.

    With ``relu``, outputs are bitwise identical to torchvision's. Other activations make the network twice
    differentiable, so the max pooling is replaced by an average pooling of the same window.
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
