"""Checks of the arguments of an attack; each raises `InputError`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clever._internal.checks import require_int
from clever.classifier.wrappers import finite_logits
from clever.errors import InputError


def check_images(images: Tensor) -> None:
    """Images must be a non-empty batch in [0,1]."""
    if images.ndim != 4 or not images.numel():
        raise InputError(
            f"images of shape {tuple(images.shape)}: they must be (row, channel, height, width) and not empty"
        )
    if images.dtype not in (torch.float32, torch.float64) or not (
        float(images.amin()) >= 0 and float(images.amax()) <= 1
    ):
        raise InputError(
            f"images of {images.dtype} from {images.amin():g} to {images.amax():g}: they must be float32 or float64 "
            "numbers in [0,1], with normalisation inside the network (clever.Normalize)"
        )


def check_arguments(images: Tensor, predicted: Sequence[int], targets: Sequence[int], seed: int) -> None:
    """Each image needs a predicted class and a target class, which must differ."""
    require_int("seed", seed, 0)
    check_images(images)
    for name, classes in (("predicted", predicted), ("target", targets)):
        if len(classes) != len(images):
            raise InputError(f"{len(classes)} {name} classes for {len(images)} images: there must be one per image")
    same = [row for row, (own, target) in enumerate(zip(predicted, targets, strict=True)) if own == target]
    if same:
        raise InputError(f"the target class of row(s) {same[:10]} is the predicted class: choose another class")


def check_network(network: nn.Module, images: Tensor, targets: Sequence[int]) -> None:
    """The network must have the target classes, and logits that can be differentiated."""
    classes = finite_logits(network, images).shape[1]
    for target in targets:
        if not 0 <= target < classes:
            raise InputError(f"target class {target}: the network has classes 0 to {classes - 1}")
    with torch.enable_grad():
        if not network(images[:1].detach().requires_grad_()).requires_grad:
            raise InputError(
                "the logits have no gradient with respect to the input: wrap the non-differentiable part in clever.BPDA"
            )
