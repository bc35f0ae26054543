"""Accuracy of a classifier on the prepared images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from clever.classifier.wrappers import compute_logits
from pipeline.shared.data.prepared import Prepared


def accuracy(network: nn.Module, prepared: Prepared, rows: Sequence[int] | NDArray[np.int64]) -> float:
    """Accuracy of the network, which must be `clever.classifier.wrappers.frozen`, on the given rows.

    An image with non-finite logits counts as misclassified.
    """
    device, labels = next(network.parameters()).device, prepared.labels
    correct = 0
    for batch in np.array_split(np.asarray(rows), -(-len(rows) // 64)):
        logits = compute_logits(network, prepared.images(batch).to(device)).cpu()
        correct += int((logits.isfinite().all(1).numpy() & (logits.argmax(1).numpy() == labels[batch])).sum())
    return correct / len(rows)
