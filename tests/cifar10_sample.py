"""The real CIFAR-10 images and network that some tests need; what they need is not part of the project."""

import os
from pathlib import Path

import pytest

from conftest import ROOT

CIFAR10 = Path(os.environ.get("CIFAR10_SAMPLE", ROOT.parent / "shared" / "cifar10-sample"))
CHECKPOINT = CIFAR10 / "checkpoint_100.pth.tar"
IMAGES = CIFAR10 / "test"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

needs_cifar10 = pytest.mark.skipif(
    not (CHECKPOINT.is_file() and IMAGES.is_dir()),
    reason=f"no {CHECKPOINT.name} or no test/<class>/ in {CIFAR10}: CIFAR10_SAMPLE names a folder with both",
)
