"""Final verification of adversarial images, one at a time."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.norms import Norm

Image = Float[Tensor, "channel height width"]

BEYOND = (1.0, 1 + 1e-5, 1 + 1e-4, 1 + 1e-3, 1 + 1e-2)
"""Factors applied to the change in turn: an image that crossed the boundary in a batch may fall just short alone."""


def verify(network: nn.Module, original: Image, found: Image, target: int, norm: Norm) -> tuple[Image | None, float]:
    """The adversarial image and its distance; None and infinity where ``network`` does not predict the target class.

    The image passes through the network alone, as in a user's own check. In a batch sums are rounded in another order,
    which can matter on the boundary; the first factor of `BEYOND` that crosses it is then used.
    """
    for factor in BEYOND if not torch.equal(original, found) else ():
        image = found if factor == 1 else (original + factor * (found - original)).clamp(0, 1)
        with torch.no_grad():
            logits = network(image.unsqueeze(0))[0]
        if bool(logits.isfinite().all()) and int(logits.argmax()) == target:
            return image, float(norm.of((image - original).double().unsqueeze(0)))
    return None, math.inf
