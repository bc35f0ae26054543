"""A network with a hole: NaN wherever one pixel's value lies in a band."""

from typing import Any

import torch

from pipeline.shared.models.networks.densenet import DenseNet


class Holes(DenseNet):
    """The small DenseNet of the default, with its weights' names; the band is in [0,1]-pixel values."""

    def __init__(self, row: int, column: int, low: float, high: float, **architecture: Any) -> None:
        super().__init__(**architecture)
        self.at, self.low, self.high = (row, column), low, high

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``torch.where`` lets no NaN into the gradient: only a look at the logits shows the hole."""
        pixel = (x[:, 0, *self.at] + 1) / 2
        inside = ((pixel > self.low) & (pixel < self.high)).unsqueeze(1)
        return torch.where(inside, torch.nan, super().forward(x))
