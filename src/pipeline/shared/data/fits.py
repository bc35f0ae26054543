"""Check that a network and the prepared images match, before any long computation."""

import torch
from torch import Tensor, nn

from clever.classifier.wrappers import Normalize, frozen
from clever.errors import InputError
from pipeline.shared.data.prepared import Prepared


def check_fits(network: nn.Module, prepared: Prepared) -> None:
    """`InputError` if the network rejects these images or has no output for one of their labels.

    ``network``: including its normalisation. A single image is evaluated; outputs are checked further where they are
    used (`clever.classifier.wrappers`).
    """
    shape = " x ".join(map(str, prepared.pixels.shape[1:]))
    channels = prepared.pixels.shape[1]
    for module in network.modules():
        # one channel minus three means would broadcast to three channels without an error
        if isinstance(module, Normalize) and len(module.mean) != channels:
            raise InputError(
                f"the images in {prepared.source} are {shape}, but model.normalize is for {len(module.mean)} channels: "
                "data.channels, the network's own channels and model.normalize must agree"
            )
    example = prepared.images([0]).to(next((parameter.device for parameter in network.parameters()), "cpu"))
    try:
        with frozen(network), torch.no_grad():
            logits = network(example)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"the network rejects the images in {prepared.source}, {shape}: {error}; data.size and data.channels "
            "must match the network"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        return
    classes = logits.shape[1]
    if classes < 2:
        raise InputError(
            "the network has a single output, but scores need one per class: replace a single logit z by the logits "
            "0 and z"
        )
    outside = prepared.manifest[(prepared.labels < 0) | (prepared.labels >= classes)]
    if len(outside):
        first = outside.iloc[0]
        raise InputError(
            f"image {first.id} has the label {first.label}, but the network has {classes} outputs, for 0 to "
            f"{classes - 1} ({len(outside)} of {len(prepared.labels)} images): choose another data set or network, or "
            "reorder data.classes"
        )
