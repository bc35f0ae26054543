"""The convolutional network of Weng et al. 2018 for MNIST, taken from Carlini and Wagner (2017, table I)."""

from torch import nn


def cnn() -> nn.Sequential:
    """Logits of grey images (batch, 1, 28, 28): four convolutions without padding, two poolings, three linear maps."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 200), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)),
    )
