"""Networks as other toolboxes wrap them, as modules from images in [0,1] to logits, without needing those toolboxes.

A wrapper scales, normalises and perhaps defends; a score is that of all this, in the same [0,1] pixel units.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.errors import InputError


class Wrapped(nn.Module):
    """Logits of ``run`` at images scaled from [0,1] to the range that it takes."""

    def __init__(self, network: nn.Module, run: Callable[[Tensor], Tensor], low: float, high: float) -> None:
        super().__init__()
        self.network, self.run, self.low, self.high = network, run, low, high

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Logits for images in [0,1]."""
        return self.run(images * (self.high - self.low) + self.low)


def from_foolbox(model: Any) -> nn.Module:
    """The network of a ``foolbox.PyTorchModel``, its bounds and preprocessing included (Rauber et al. 2017).

    It takes images in [0,1], whatever the model's bounds. `InputError` for anything else than such a model.
    """
    inner = _module_in(getattr(model, "_model", None))
    if inner is None or not hasattr(model, "bounds"):
        raise InputError(f"{type(model).__name__} is no foolbox.PyTorchModel around a torch.nn.Module")
    return Wrapped(inner, model, *map(float, model.bounds))


def from_art(classifier: Any) -> nn.Module:
    """The network of an ``art.estimators.classification.PyTorchClassifier``, its preprocessing included.

    It takes images in [0,1], whatever the classifier's ``clip_values``. The network must return logits, as ART asks
    for, too. `InputError` for anything else, and where ART preprocesses by NumPy, through which there are no gradients:
    such a defence belongs into `clever.Defended`.
    """
    inner, operations = getattr(classifier, "model", None), getattr(classifier, "preprocessing_operations", [])
    if not isinstance(inner, nn.Module):
        raise InputError(f"{type(classifier).__name__} is no PyTorchClassifier of ART around a torch.nn.Module")
    steps = [one for one in operations if one.apply_predict]
    for one in steps:
        if not hasattr(one, "estimate_forward"):
            raise InputError(
                f"ART's {type(one).__name__} computes by NumPy, which has no gradient: leave it out of the classifier, "
                "and put the transformation into clever.Defended"
            )

    def run(images: Tensor) -> Tensor:
        for one in steps:
            images, _ = one.forward(images)
        logits: Tensor = inner(images)
        return logits

    low, high = (0.0, 1.0) if classifier.clip_values is None else map(_only, classifier.clip_values)
    return Wrapped(inner, run, low, high)


def _only(bound: Any) -> float:
    """The bound of all channels, which ART also takes one by one."""
    values = torch.as_tensor(bound, dtype=torch.float64).unique()
    if len(values) != 1:
        raise InputError(f"clip_values differ by channel, {values.tolist()}: give one range to all")
    return float(values)


def _module_in(function: Any) -> nn.Module | None:
    """The module that a function of foolbox closes over, so that device, mode and parameters follow it."""
    cells = getattr(function, "__closure__", None) or ()
    found = [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, nn.Module)]
    return found[0] if len(found) == 1 else None
