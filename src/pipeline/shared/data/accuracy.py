"""How often a classifier is right on the prepared images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from clever.classifier.wrappers import compute_logits
from pipeline.shared.data.prepared import Prepared


def accuracy(network: nn.Module, prepared: Prepared, rows: Sequence[int] | NDArray[np.int64]) -> float:
    """The share of these images that the network takes for their true class; it must be
    `clever.classifier.wrappers.frozen`.

    Logits that are not finite take an image for no class.
    """
    where, labels = next(network.parameters()).device, prepared.labels
    right = 0
    for some in np.array_split(np.asarray(rows), -(-len(rows) // 64)):
        logits = compute_logits(network, prepared.images(some).to(where)).cpu()
        right += int((logits.isfinite().all(1).numpy() & (logits.argmax(1).numpy() == labels[some])).sum())
    return right / len(rows)
