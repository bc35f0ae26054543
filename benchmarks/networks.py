"""The two networks of the benchmarks, with random weights: speed does not depend on them."""

import torch
import torchvision
from torch import nn

SIZES = {"densenet121": 224, "small": 32}
"""The image size of each, in pixels."""


def network(name: str, device: str = "cpu") -> nn.Module:
    """``densenet121`` of torchvision, or the ``small`` DenseNet of the default experiment, in evaluation mode."""
    torch.manual_seed(0)
    if name == "densenet121":
        made = torchvision.models.densenet121(weights=None)
    else:
        made = torchvision.models.DenseNet(8, (3, 3, 3), 16, bn_size=2, num_classes=10)
    return made.eval().to(device)
