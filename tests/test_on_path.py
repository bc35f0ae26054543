"""With `sampling.path` no score exceeds the distance of the adversarial image that its short attack found."""

import pytest
import torch
from torch import nn

import clever
from clever.classifier.image_context import image_contexts
from clever.norms import Norm
from clever.scoring.path import path_maxima


class Bend(nn.Module):
    """A margin that falls slowly with the mean, and seven times as fast beyond .55: few points of a ball lie there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([3 - 4 * mean - 30 * (mean - 0.55).relu(), torch.zeros_like(mean)], 1)


@pytest.mark.parametrize("defense", [clever.Identity(), clever.Quantize(8)], ids=["plain", "staircase"])
def test_a_score_on_the_path_is_below_the_distance(defense: object) -> None:
    defended = clever.Defended(Bend().eval(), defense)  # type: ignore[arg-type]
    images = 0.3 + 0.4 * torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    few = clever.Settings(n_batches=1, n_samples=2, radius={"L2": 2.0}, clip=True, estimator="maximum")
    order = clever.Gauge()

    def scored(path: bool) -> list[clever.Score]:
        settings = clever.Settings(**vars(few) | {"path": path})
        return clever.score(defended, images, settings, norms=["L2"], targets=["top2"], order=order, progress=False)

    free, held = scored(False), scored(True)
    distances = [
        path_maxima(defended, images[context.index], context, order, {Norm.L2: 2.0}).distances[Norm.L2, label]
        for context in image_contexts(defended, images, ["top2"], few)
        for label in context.classes
    ]
    assert all(score.score <= 1.02 * distance for score, distance in zip(held, distances, strict=True))
    assert any(score.score > distance for score, distance in zip(free, distances, strict=True))
    assert all(one.score <= other.score for one, other in zip(held, free, strict=True))
    assert [score.on_path for score in held] == [one.score < other.score for one, other in zip(held, free, strict=True)]
    assert not any(score.on_path for score in free)


def test_behind_jpeg_there_is_a_path_too() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 16 * 16, 4)]
    network = clever.Defended(nn.Sequential(*layers).requires_grad_(False), clever.JPEG())
    images = clever.PNG()(torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    few = clever.Settings(n_batches=1, n_samples=2, radius={"L2": 2.0}, estimator="maximum")
    found = [
        path_maxima(network, images[context.index], context, clever.Gauge(), {Norm.L2: 2.0})
        for context in image_contexts(network, images, ["top2"], few)
    ]
    assert all(path.maxima for path in found)
    distances = torch.tensor([distance for path in found for distance in path.distances.values()])
    assert float(distances.median()) < 0.6
