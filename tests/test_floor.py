"""An estimate of L or M is no smaller than what is measured at the image itself, but in the published presets."""

import pytest
import torch
from torch import Tensor, nn

import clever

IMAGE = torch.full((1, 4, 4), 0.5)
WIDTH = 0.01
"""Of the bump: no sampled point of a ball of radius 1 comes so near to the image."""


class Bump(nn.Module):
    """Margin 1 + <w, x - x0> + exp(-|x - x0|^2 / (2 s^2)) (slope <v, x - x0> - curvature |x - x0|^2 / 2), w = v / 4."""

    def __init__(self, slope: float, curvature: float) -> None:
        super().__init__()
        self.slope, self.curvature = slope, curvature

    def forward(self, x: Tensor) -> Tensor:
        change = (x - IMAGE.to(x)).flatten(1)
        squares = change.square().sum(1)
        bump = torch.exp(-squares / (2 * WIDTH**2)) * (self.slope * change[:, 0] - self.curvature * squares / 2)
        margin = 1 + change[:, 0] / 4 + bump
        return torch.stack([margin, torch.zeros_like(margin)], 1)


def scored(network: nn.Module, order: clever.bounds.first_order.Order, **changes: object) -> clever.Score:
    settings = clever.Settings(n_batches=8, n_samples=16, radius={"L2": 1.0}, cap=False, **changes)  # type: ignore[arg-type]
    (score,) = clever.score(network, IMAGE, settings, targets=["top2"], norms=["L2"], order=order, progress=False)
    return score


def test_first_order_sees_the_gradient_at_the_image() -> None:
    network = Bump(slope=10.0, curvature=0.0)
    assert scored(network, clever.FirstOrder(), floor=False).score == pytest.approx(4.0, rel=1e-4)
    score = scored(network, clever.FirstOrder())
    assert score.score == pytest.approx(1 / 10.25, rel=1e-4)
    assert score.raised_to_x0
    assert score.row()["raised_to_x0"] is True


def test_second_order_sees_the_curvature_at_the_image() -> None:
    network = Bump(slope=0.0, curvature=100.0)
    free = scored(network, clever.SecondOrder(), floor=False)
    assert free.score == pytest.approx(4.0, rel=1e-4)
    score = scored(network, clever.SecondOrder())
    assert score.score == pytest.approx((-0.25 + (0.25**2 + 200) ** 0.5) / 100, rel=1e-3)
    assert score.raised_to_x0


def test_an_estimate_above_the_floor_stays_and_the_presets_have_none() -> None:
    affine = scored(Bump(slope=0.0, curvature=0.0), clever.FirstOrder())
    assert affine.score == pytest.approx(4.0, rel=1e-5)
    assert not clever.paper().floor
    assert not clever.reference_code().floor
    with pytest.raises(clever.InputError, match="floor is 1"):
        clever.paper(floor=1)
