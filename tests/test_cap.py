"""Caps that are what was sampled."""

import math

import pytest
import torch
from torch import Tensor, nn

import clever


class Flat(nn.Module):
    """Logits 1 and 0 everywhere, differentiable."""

    def forward(self, x: Tensor) -> Tensor:
        zero = 0 * x.flatten(1).sum(1)
        return torch.stack([1 + zero, zero], 1)


def cap(image: Tensor, norm: str, radius: float, **changes: object) -> clever.Score:
    settings = clever.Settings(n_batches=5, n_samples=32, radius={norm: radius}, **changes)  # type: ignore[arg-type]
    (score,) = clever.score(Flat(), image, settings, targets=["top2"], norms=[norm], progress=False)
    assert score.capped
    assert score.score == score.radius
    assert score.row()["farthest_sample"] == score.farthest_sample
    return score


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
@pytest.mark.parametrize(("norm", "radius", "share"), [("L2", 3.0, 0.73), ("L1", 30.0, 0.545)])
def test_a_cap_is_how_far_points_went(norm: str, radius: float, share: float) -> None:
    """Half of the numbers drawn around a black image are clipped: about R / sqrt(2) is left in L2, R / 2 in L1."""
    black = torch.zeros(3, 32, 32)
    clipped = cap(black, norm, radius, clip=True)
    assert clipped.radius == clipped.farthest_sample == pytest.approx(share * radius, rel=0.02)
    assert cap(black, norm, radius, clip=False).radius == radius


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_no_cap_exceeds_the_domain() -> None:
    grey = torch.full((3, 8, 8), 0.5)
    assert cap(grey, "Linf", 5.0, clip=True).radius == pytest.approx(0.5)
    assert cap(grey, "L2", 50.0, clip=True).radius <= 0.5 * math.sqrt(192) * (1 + 1e-6)
