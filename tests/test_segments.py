"""Points on the segments from t(x0) to t(x), and classifiers of images that see the same inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import clever
from clever.defenses.bpda import bare_network
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler
from pipeline.score.store import Store

IMAGE = torch.full((1, 2, 2), 0.9)


class Steep(nn.Module):
    """Margin sum of sigmoid(50 (z - 1/2)) - 3/2 over 4 pixels: flat at 0 and at 1, steep between."""

    def forward(self, z: Tensor) -> Tensor:
        margin = torch.sigmoid(50 * (z.flatten(1) - 0.5)).sum(1) - 1.5
        return torch.stack([margin, 0 * margin], 1)


def scored(
    network: nn.Module,
    image: Tensor,
    order: clever.bounds.first_order.Order = clever.FirstOrder(),  # noqa: B008 (frozen)
    **changes: object,
) -> clever.Score:
    settings = clever.paper(
        n_batches=40, n_samples=64, radius={"L2": 1.0}, estimator="maximum", **{"clip": True} | changes
    )
    (score,) = clever.score(network, image, settings, targets=["top2"], norms=["L2"], order=order, progress=False)
    return score


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_what_the_images_behind_a_staircase_do_not_show_the_segments_do() -> None:
    """Two levels: f is flat at every t(x), and R = 1 comes out, though three pixels of four flip the class, at .69."""
    defended = clever.Defended(Steep(), clever.Quantize(levels=2))
    flipped = IMAGE.clone()
    flipped.flatten()[:3] = 0.4999
    assert int(defended(flipped.unsqueeze(0)).argmax()) == 1
    distance = float((flipped - IMAGE).norm())
    assert distance == pytest.approx(0.69, abs=0.01)
    without = scored(defended, IMAGE, clip=False)
    assert without.score == without.radius == 1
    along, gauge = scored(defended, IMAGE, segments=True), scored(defended, IMAGE, order=clever.Gauge())
    assert along.score < gauge.score < distance
    assert gauge.row()["segments"] is True
    assert without.row()["segments"] is False
    assert along.row()["segments"] is True
    # the steepest slope between the levels: 50/4 for each pixel that moved
    assert along.end_point.value > 12


def test_points_lie_on_the_segments_of_the_same_images(tmp_path: Path) -> None:
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    f = bare_network(clever.Defended(nn.Flatten(), clever.Quantize(levels=3)))
    assert f is not None
    ball_samplers = [
        BallSampler(image, "a", Ball(Norm.L2, 2.0), 40, 0, True, transform) for transform in (None, f.transform)
    ]
    (x, distance), (z, same) = (next(ball_sampler.points(range(1), 40)) for ball_sampler in ball_samplers)
    assert torch.equal(distance, same)
    start, end = f.transform(image.unsqueeze(0)), f.transform(x)
    share = ((z - start) * (end - start)).flatten(1).sum(1) / (end - start).flatten(1).square().sum(1)
    assert torch.allclose(z, start + share.view(-1, 1, 1, 1) * (end - start), atol=1e-6)
    assert float(share.min()) >= 0
    assert float(share.max()) <= 1
    assert 0.35 < float(share.mean()) < 0.65
    longer = BallSampler(image, "a", Ball(Norm.L2, 2.0), 55, 0, True, f.transform)
    assert torch.equal(next(longer.points(range(1), 55))[0][:40], z)


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_without_bpda_the_transformation_is_part_of_the_network(images: Tensor, affine: nn.Module) -> None:
    """And bare networks are their own f: then the points are those between x0 and x."""
    masked = clever.Defended(affine, clever.Quantize(levels=8), bpda=False)
    assert scored(masked, images[0], segments=True).end_point.value == 0
    bare = scored(affine, images[0], segments=True)
    assert bare.score == pytest.approx(scored(affine, images[0]).score, rel=1e-5)


def test_the_store_tells_segments_apart(tmp_path: Path, affine: nn.Module, images: Tensor) -> None:
    computed: list[int] = []
    store = Store(tmp_path, {}, 100, compute=computed.append, find=lambda _: None)

    def make_measure(targets: object) -> Callable[[Tensor], Tensor]:
        return lambda points: points.flatten(1)[:, :1].unsqueeze(2)

    ball_samplers = [
        BallSampler(images[0], "a", Ball(Norm.L2, 1.0), 10, 0, True, transform)
        for transform in (None, clever.Identity(), None)
    ]
    kept = [store(make_measure, ball_sampler, 0, [1], range(2)) for ball_sampler in ball_samplers]  # type: ignore[arg-type]
    assert sum(computed) == 2 * 20
    assert np.array_equal(kept[0].value, kept[2].value)
    assert not np.array_equal(kept[0].value, kept[1].value)


@pytest.fixture
def affine() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 5))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_every_defended_classifier_sees_images(images: Tensor, affine: nn.Module) -> None:
    """PNG changes next to nothing: its scores are those of the identity, for points outside [0,1] as well."""
    torch.manual_seed(1)
    bent = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 5))
    settings = clever.paper(n_batches=6, n_samples=40, cap=False, estimator="maximum")
    assert not settings.clip
    by = {
        name: [score.score for score in clever.score(clever.Defended(bent, t), images, settings, progress=False)]
        for name, t in (("identity", clever.Identity()), ("png", clever.PNG()))
    }
    ratio = np.array(by["png"]) / np.array(by["identity"])
    assert np.allclose(ratio, 1, atol=0.03)
    far = images + 10 * torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    for bpda in (True, False):
        inside = clever.Defended(affine, clever.Identity(), bpda=bpda)
        assert torch.equal(inside(far), affine(far.clamp(0, 1)))
        (gradient,) = torch.autograd.grad(inside(far.requires_grad_())[:, 0].sum(), far)
        assert torch.allclose(gradient[0].flatten(), affine[1].weight[0])


def test_the_second_order_takes_the_clamp_for_what_it_is_on_images() -> None:
    torch.manual_seed(0)
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    settings = clever.paper(n_batches=5, n_samples=4, radius={"L2": 0.2})
    options = {"norms": ["L2"], "order": clever.SecondOrder(), "progress": False}
    inside, bare = (
        [score.score for score in clever.score(network, IMAGE / 2, settings, **options)]  # type: ignore[arg-type]
        for network in (clever.Defended(smooth, clever.Identity()), smooth)
    )
    assert inside == pytest.approx(bare, rel=1e-5)
