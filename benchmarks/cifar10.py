"""A real network and real images for the benchmarks that need them: those of tests/cifar10_sample.py, not part of here.

CIFAR10_SAMPLE names the folder; without it, shared/cifar10-sample beside the project.
"""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import clever
from pipeline.shared.models.networks.densenet_bc import DenseNetBC

SAMPLE = Path(os.environ.get("CIFAR10_SAMPLE", Path(__file__).parents[2] / "shared" / "cifar10-sample"))
DEFENSES = {
    "identity": clever.Identity(),
    "jpeg": clever.JPEG(),
    "png": clever.PNG(),
    "quantize": clever.Quantize(16),
    "bit_depth": clever.BitDepth(3),
}


def sample(count: int) -> tuple[nn.Module, Tensor, Tensor]:
    """The DenseNet-BC and the first images of its test set, (image, 3, 32, 32), with their classes."""
    state = torch.load(SAMPLE / "checkpoint_100.pth.tar", map_location="cpu", weights_only=True)["state_dict"]
    network = DenseNetBC(depth=100, growth=12)
    network.load_state_dict(state)
    files = sorted((SAMPLE / "test").rglob("*.png"), key=lambda file: file.name)[:count]
    classes = sorted({folder.name for folder in (SAMPLE / "test").iterdir()})
    images = torch.stack([torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255 for file in files])
    normalize = clever.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
    labels = torch.tensor([classes.index(file.parent.name) for file in files])
    return nn.Sequential(normalize, network).eval(), images, labels
