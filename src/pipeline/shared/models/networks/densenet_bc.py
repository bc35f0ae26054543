"""DenseNet-BC for small images, as in Huang et al. 2017 (arXiv 1608.06993), section 4: the paper's CIFAR network."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from clever._internal.checks import is_number, require_int
from clever.errors import InputError
from pipeline.shared.models.networks.activations import get_activation

Activation = Callable[[], nn.Module]

DEPTH_STEP = 6
"""Convolutions added by one more layer in each of the three blocks."""
BOTTLENECK = 4
"""Channels of a layer's 1 x 1 convolution, as a multiple of the growth."""


class DenseNetBC(nn.Module):
    """Three dense blocks of (depth - 4) / 6 layers each, with two transitions between them.

    A layer appends ``growth`` channels to its input; a transition keeps the fraction ``reduction`` of the channels,
    rounded down, and halves height and width. The first convolution has 2 growth channels. Parameter names follow the
    PyTorch implementation of most published CIFAR checkpoints.
    """

    def __init__(
        self,
        *,
        depth: int = 100,
        growth: int = 12,
        reduction: float = 0.5,
        classes: int = 10,
        channels: int = 3,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        for name, value in (("growth", growth), ("classes", classes), ("channels", channels)):
            require_int(f"model.network.{name}", value, 1)
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 10 or (depth - 4) % DEPTH_STEP:
            raise InputError(f"model.network.depth is {depth!r}: it must be 6 n + 4, such as 40, 100, 190 or 250")
        if not is_number(reduction) or not 0 < reduction <= 1:
            raise InputError(
                f"model.network.reduction is {reduction!r}: it is the fraction of channels that a transition keeps "
                "and must be more than 0 and at most 1"
            )
        act, layers, width = get_activation(activation), (depth - 4) // DEPTH_STEP, 2 * growth
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.block1 = _Block(layers, width, growth, act)
        self.trans1 = _Transition(self.block1.width, reduction, act)
        self.block2 = _Block(layers, self.trans1.width, growth, act)
        self.trans2 = _Transition(self.block2.width, reduction, act)
        self.block3 = _Block(layers, self.trans2.width, growth, act)
        width = self.block3.width
        self.bn1 = nn.BatchNorm2d(width)
        self.act = act()
        self.fc = nn.Linear(width, classes)
        _initialise(self)

    def forward(self, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits of normalised images; height and width of at least 4, 32 in the paper."""
        x = self.trans1(self.block1(self.conv1(x)))
        x = self.block3(self.trans2(self.block2(x)))
        pooled = adaptive_avg_pool2d(self.act(self.bn1(x)), (1, 1))
        return self.fc(torch.flatten(pooled, 1))  # type: ignore[no-any-return]


class _Layer(nn.Module):
    """Appends ``growth`` channels to the input."""

    def __init__(self, width: int, growth: int, act: Activation) -> None:
        super().__init__()
        self.bn1, self.act1 = nn.BatchNorm2d(width), act()
        self.conv1 = nn.Conv2d(width, BOTTLENECK * growth, 1, bias=False)
        self.bn2, self.act2 = nn.BatchNorm2d(BOTTLENECK * growth), act()
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(self.act1(self.bn1(x)))
        return torch.cat([x, self.conv2(self.act2(self.bn2(inner)))], 1)


class _Block(nn.Module):
    def __init__(self, layers: int, width: int, growth: int, act: Activation) -> None:
        super().__init__()
        self.width = width + layers * growth
        self.layer = nn.Sequential(*(_Layer(width + i * growth, growth, act) for i in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


class _Transition(nn.Module):
    def __init__(self, width: int, reduction: float, act: Activation) -> None:
        super().__init__()
        self.width = int(width * reduction)
        if not self.width:
            raise InputError(f"model.network.reduction is {reduction}: it leaves none of {width} channels")
        self.bn1, self.act = nn.BatchNorm2d(width), act()
        self.conv1 = nn.Conv2d(width, self.width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(self.conv1(self.act(self.bn1(x))), 2)


def _initialise(network: nn.Module) -> None:
    """Published initialisation: He normal weights (fan-out) for convolutions, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
