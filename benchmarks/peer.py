"""The Adversarial Robustness Toolbox's `clever_t`, for several images; nothing where the toolbox is not installed.

Wants it: pip install adversarial-robustness-toolbox.
"""

import sys
import time
import warnings
from copy import deepcopy

import numpy as np
import torch
from beside import Values
from torch import Tensor, nn
from tqdm import tqdm

from clever.norms import Norm

POOL = 10
"""The toolbox's default: so many times N_s points are drawn for a score, and its batches are drawn from these."""


def installed() -> bool:
    """Whether there is a toolbox; says so on stderr where there is none."""
    try:
        import art  # noqa: F401
    except ImportError:
        print("no row of clever_t: pip install adversarial-robustness-toolbox to have it", file=sys.stderr)
        return False
    return True


def toolbox(
    network: nn.Module,
    images: Tensor,
    targets: list[int],
    n_batches: int,
    n_samples: int,
    radius: float,
    norm: Norm,
    seed: int = 0,
) -> Values:
    """Its score of each image, as it comes out, which may be NaN, or negative.

    In single precision, points clipped to [0,1]. It takes two gradients at each of 10 N_s points, those of two logits,
    whatever N_b is.
    """
    from art.estimators.classification import PyTorchClassifier
    from art.metrics import clever_t

    network = deepcopy(network).float().eval()
    with torch.no_grad():
        classes = network(images[:1].float()).shape[1]
    shape, loss = tuple(images.shape[1:]), nn.CrossEntropyLoss()
    classifier = PyTorchClassifier(network, loss, shape, classes, clip_values=(0.0, 1.0), device_type="cpu")
    found, started = [], time.process_time()
    np.random.seed(seed)  # noqa: NPY002 (the toolbox draws from it)
    for image, target in zip(tqdm(images.float().numpy(), desc=f"toolbox, {norm}"), targets, strict=True):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            score = clever_t(classifier, image, target, n_batches, n_samples, radius, norm.p, pool_factor=POOL)
        found.append(float(score))
    return Values(np.array(found), 2.0 * POOL * n_samples, (time.process_time() - started) / len(images))
