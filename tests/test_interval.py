"""The interval of a score."""

import numpy as np
import pytest
import torch
from torch import nn

import clever


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def scores(network: nn.Module, images: torch.Tensor, **changes: object) -> list[clever.Score]:
    settings = clever.paper(
        **{"n_batches": 200, "n_samples": 8, "radius": {"L1": 1, "L2": 0.5}, "cap": False, "clip": True} | changes
    )
    return clever.score(network, images, settings, norms=["L1", "L2"], progress=False)


def test_the_interval_of_a_score_is_that_of_its_end_point(network: nn.Module, images: torch.Tensor) -> None:
    found = scores(network, images)
    for score in found:
        point = score.end_point
        if np.isnan(point.low):
            assert point.fit_failed
            assert np.isnan([score.low, score.high]).all()
            continue
        assert score.low <= score.score <= score.high
        assert score.low == pytest.approx(score.margin / point.high, abs=0)  # 0 where it is infinite
        assert score.high == pytest.approx(score.margin / point.low)
    assert sum(score.low > 0 for score in found) >= 5


@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "profile", "r_largest"])
def test_where_no_end_point_is_excluded_a_score_has_no_lower_end(
    estimator: str, network: nn.Module, images: torch.Tensor
) -> None:
    found = scores(network, images, n_batches=12, estimator=estimator)
    unbounded = [score for score in found if score.end_point.unbounded]
    assert 0 < len(unbounded) < len(found)
    for score in unbounded:
        assert score.low == 0
        assert 0 < score.score <= score.high < np.inf
