"""Gaussian noise."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from clever._internal.checks import is_number
from clever.defenses.random import Seeded
from clever.errors import InputError


@dataclass(frozen=True)
class Noise(Seeded):
    """x + n, with Gaussian n of standard deviation ``std`` in [0,1]-pixel units, independent for each value.

    Cohen et al. 2019 (randomized smoothing). As in their work, the result is not clipped, so f gets values outside
    [0,1], and the true derivative is the identity, as in BPDA. Their classifier takes a majority vote over draws and
    gives certificates; the mean over draws (`clever.Expectation`) is a smooth variant without a certificate.
    `InputError` for a std that is not positive.
    """

    std: float = 0.25
    useful_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.std) or not 0 < self.std < float("inf"):
            raise InputError(f"the std of noise is {self.std!r}: it must be positive, in [0,1]-pixel units")

    def __call__(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch ..."]:
        noise = torch.randn(images.shape[1:], generator=self.generator(images), dtype=torch.float64)
        return images + noise.mul_(self.std).to(images)
