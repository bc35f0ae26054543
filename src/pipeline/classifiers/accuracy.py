"""How often a classifier is right on the prepared images."""

import numpy as np
from torch import nn

from clever.models import logits_of
from pipeline.classifiers.prepared import Prepared


def accuracy(network: nn.Module, prepared: Prepared) -> float:
    """The share of images that the network takes for their true class; the network must be `clever.models.frozen`."""
    where = next(network.parameters()).device
    right = 0
    for rows in np.array_split(np.arange(len(prepared.labels)), max(1, len(prepared.labels) // 64)):
        logits = logits_of(network, prepared.images(rows).to(where))
        right += int((logits.argmax(1).cpu().numpy() == prepared.labels[rows]).sum())
    return right / len(prepared.labels)
