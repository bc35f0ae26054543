"""Uninformative scores are marked: vanishing gradients, and images that are misclassified already."""

import warnings

import pytest
import torch
from torch import nn

import clever


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 4)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def scored(network: nn.Module, images: torch.Tensor, **changes: object) -> list[clever.Score]:
    settings = clever.paper(**{"n_batches": 6, "n_samples": 4, "radius": {"L2": 0.5, "Linf": 0.1}} | changes)
    return clever.score(network, images, settings, norms=["L2", "Linf"], targets=["top2"], progress=False)


def test_masked_gradients_are_warned_of_once_a_call(network: nn.Module, images: torch.Tensor) -> None:
    masked = clever.Defended(network, clever.Quantize(4), bpda=False)
    with pytest.warns(clever.GradientMasking, match="4 of 4 scores are uninformative") as told:
        found = scored(masked, images)
    assert len(told) == 1
    assert "clever.Defended or clever.BPDA" in str(told[0].message)
    assert all(score.vanishing and score.row()["vanishing"] for score in found)


def test_so_are_gradients_that_nearly_vanish(network: nn.Module, images: torch.Tensor) -> None:
    class Saturated(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(1e3 * network(x), 1) + 1e-7 * network(x)

    with pytest.warns(clever.GradientMasking, match="saturated softmax"):
        scored(Saturated().eval(), images)


@pytest.mark.parametrize("radius", [1e-4, 1.0])
def test_of_honest_gradients_nobody_is_warned(network: nn.Module, images: torch.Tensor, radius: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scored(network, images, radius={"L2": radius, "Linf": radius})
    assert not any(score.vanishing for score in found)


def test_an_image_of_another_class_behind_the_defense_is_flagged_where_it_keeps_a_score(network: nn.Module) -> None:
    """The authors' code takes class and margin from f(x0): what f(t(x0)) says it never asks."""

    class Darker(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    # class 0 above a mean of 1/2, class 1 below
    bright = nn.Sequential(nn.Flatten(), nn.Linear(48, 2)).eval()
    with torch.no_grad():
        bright[1].weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 48) / 48)
        bright[1].bias.copy_(torch.tensor([-0.5, 0.5]))
    images = torch.stack([torch.full((3, 4, 4), 0.8), torch.full((3, 4, 4), 0.2)])
    defended = clever.Defended(bright, Darker())
    theirs = scored(defended, images, reference="undefended")
    of_image = {score.predicted: score.already_changed for score in theirs}
    assert of_image == {0: True, 1: False}
    assert all(score.score > 0 for score in theirs)
    assert not any(score.already_changed for score in scored(defended, images))
