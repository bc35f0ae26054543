"""The paper's CIFAR network, and a real one of its kind on the first 100 test images."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import clever
from cifar10_sample import CHECKPOINT, CLASSES, IMAGES, needs_cifar10
from conftest import composed
from pipeline.shared.models.checkpoint import load_state
from pipeline.shared.models.classifier import build_network, load_weights
from pipeline.shared.models.networks.densenet_bc import DenseNetBC


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_sizes_are_those_of_the_paper() -> None:
    """Table 2 of Huang et al. 2017: 0.8 M for 100 layers and growth 12, 15.3 M for 250 and 24."""
    assert parameters(build_network(composed("model=densenet_bc"))[0]) == 769_162
    assert round(parameters(DenseNetBC(depth=250, growth=24)) / 1e6, 1) == 15.3


def test_depth_counts_what_has_weights_on_the_longest_path() -> None:
    network = DenseNetBC(depth=22, growth=4)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 22


def test_no_reduction_keeps_all_channels() -> None:
    assert DenseNetBC(depth=22, growth=4, reduction=1.0).fc.in_features == 2 * 4 + 9 * 4
    assert DenseNetBC(depth=22, growth=4, reduction=0.3).trans1.conv1.out_channels == 6  # of 20


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("depth=99", "depth is 99: it must be 6 n"),
        ("depth=4", "depth is 4"),
        ("depth=true", "depth is True"),
        ("growth=0", "growth is 0"),
        ("reduction=2", "reduction is 2: it is the fraction"),
        ("reduction=0", "reduction is 0"),
        ("reduction=0.001", "leaves none of"),
        ("classes=0", "classes is 0"),
        ("activation=swish", "activation is 'swish'"),
    ],
)
def test_no_such_network(override: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as raised:
        build_network(composed("model=densenet_bc", f"model.network.{override}"))
    assert isinstance(raised.value.__cause__, clever.InputError)


def test_smooth_activations_take_the_place_of_every_relu() -> None:
    network = DenseNetBC(depth=10, growth=4, activation="softplus").double().eval()
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())
    x = torch.rand(1, 3, 16, 16, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[0, 0], x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    assert second.abs().max() > 0


@needs_cifar10
def test_the_real_network_is_right_on_93_of_100() -> None:
    network, normalize = build_network(composed("model=densenet_bc"))
    load_weights(network, load_state(CHECKPOINT, "state_dict"), CHECKPOINT.name)
    files = sorted(IMAGES.rglob("*.png"))
    images = np.stack([np.asarray(Image.open(file)) for file in files]).transpose(0, 3, 1, 2)
    labels = torch.tensor([CLASSES.index(file.parent.name) for file in files])
    with torch.no_grad():
        predicted = nn.Sequential(normalize, network).eval()(torch.from_numpy(images) / 255).argmax(1)
    assert (predicted == labels).sum() == 93
