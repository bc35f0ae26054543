"""Descent by linearisations: exact where that is known, through the gauge behind staircases; and the paths it finds."""

import math

import pytest
import torch
from torch import Tensor, nn

import clever
from clever.attacks.descent import descend, pixelwise
from clever.attacks.hyperplane import nearest_beyond
from clever.bounds.gauge.order import gauge_function
from clever.classifier.image_context import ImageContext, image_context
from clever.classifier.wrappers import frozen
from clever.norms import Norm
from clever.scoring.path import path_maxima
from test_attacks import affine, exact, images_of

SETTINGS = clever.paper(n_batches=10, n_samples=8)


def margin_of(network: nn.Module, predicted: Tensor, target: Tensor):
    """g, a row each."""

    def margin(images: Tensor) -> Tensor:
        logits = network(images)
        return (logits.gather(1, predicted.unsqueeze(1)) - logits.gather(1, target.unsqueeze(1))).squeeze(1)

    return margin


def top2(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return network(images).argsort(1, descending=True)[:, :2].unbind(1)


@pytest.mark.parametrize("norm", Norm)
def test_beyond_a_hyperplane_is_the_dual_norms_distance_where_the_pixel_range_is_far(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    images = 0.45 + 0.1 * torch.rand(5, 3, 8, 8, generator=generator)
    gradients = torch.randn(5, 3, 8, 8, generator=generator)
    margins = torch.tensor([0.01, 0.1, 0.2, 0.5, 1.0])
    found = nearest_beyond(images, gradients, margins, norm)
    gain = -(gradients * (found - images)).flatten(1).sum(1)
    torch.testing.assert_close(gain, margins, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.of(found - images), margins / norm.dual.of(gradients), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("norm", Norm)
def test_beyond_a_hyperplane_the_pixel_range_is_kept(norm: Norm) -> None:
    network = affine(2, (1, 4, 4), gain=0.3)
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    predicted, target = top2(network, images)
    at = images.clone().requires_grad_()
    value = margin_of(network, predicted, target)(at)
    (gradient,) = torch.autograd.grad(value.sum(), at)
    found = nearest_beyond(images, gradient, value.detach(), norm)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    truth = torch.tensor([exact(network, x, int(j), norm) for x, j in zip(images, target, strict=True)])
    torch.testing.assert_close(norm.of(found - images), truth, rtol=1e-3, atol=1e-4)


def test_what_the_range_does_not_reach_ends_in_the_corner() -> None:
    gradients = torch.tensor([1.0, -2.0, 0.5, -0.1]).view(1, 1, 2, 2)
    for norm in Norm:
        found = nearest_beyond(torch.full((1, 1, 2, 2), 0.4), gradients, torch.tensor([100.0]), norm)
        torch.testing.assert_close(found.flatten(), torch.tensor([0.0, 1.0, 0.0, 1.0]))


@pytest.mark.parametrize("norm", Norm)
def test_affine_margins_are_crossed_at_their_distance(norm: Norm) -> None:
    network, images = affine(2, (3, 4, 4), gain=2), images_of((3, 4, 4))
    predicted, target = top2(network, images)
    found = descend(margin_of(network, predicted, target), images, norm, steps=12)
    truth = torch.tensor([exact(network, x, int(j), norm) for x, j in zip(images, target, strict=True)])
    ratio = found.distance / truth
    assert 1 - 1e-4 <= float(ratio.min()) <= float(ratio.max()) <= 1.005
    assert torch.equal(network(found.image).argmax(1), target)


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize(
    "defense", [clever.Quantize(16), clever.BitDepth(4), clever.PNG(), clever.Chain([clever.PNG(), clever.Quantize(9)])]
)
def test_affine_margins_behind_a_staircase_are_crossed_at_the_gauge(defense, norm: Norm) -> None:
    """Where the gradient is the same everywhere, the gauge is a lower bound of the distance, exact but for a pixel."""
    network, images = affine(2, (3, 16, 16)), images_of((3, 16, 16), 4)
    network[1].bias.data[0] += 60  # so far that many pixels have to jump
    defended = clever.Defended(network, defense)
    predicted, target = top2(defended, images)
    margin = margin_of(defended, predicted, target)
    found = descend(margin, images, norm, steps=40, defense=defense)
    gradients, values = network[1].weight[predicted] - network[1].weight[target], margin(images)
    h = [
        float(
            gauge_function(defense, image)(gradient.detach().view(1, 3, 16, 16), value.detach().view(1))[
                0, list(Norm).index(norm)
            ]
        )
        for image, gradient, value in zip(images, gradients, values, strict=True)
    ]
    ratio = found.distance / torch.tensor(h)
    assert 1 - 1e-3 <= float(ratio.min()) <= float(ratio.max()) <= 1.05


def test_it_finds_nearer_images_than_gradients_that_do_not_know_the_steps() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.Tanh(), nn.Linear(32, 4)).requires_grad_(False)
    images, defense = images_of((3, 8, 8)), clever.Quantize(16)
    defended = clever.Defended(network, defense)
    margin = margin_of(defended, *top2(defended, images))
    knowing = descend(margin, images, Norm.L2, steps=20, defense=defense)
    ignorant = descend(margin, images, Norm.L2, steps=20)
    assert float((knowing.distance / ignorant.distance).median()) < 0.5


def test_without_success_the_original_is_returned_at_infinity() -> None:
    images = images_of((1, 2, 2), 3)
    found = descend(lambda x: 1 + x.flatten(1).sum(1), images, Norm.L2, steps=5)
    assert found.distance.isinf().all()
    assert torch.equal(found.image, images)


def test_the_staircase_that_a_defense_begins_with() -> None:
    jpeg, quantize = clever.JPEG(), clever.Quantize(8)
    images = torch.rand(2, 3, 16, 16)
    for defense in (jpeg, clever.JPEG(to_uint8="truncate"), quantize, clever.Chain([quantize, jpeg, quantize])):
        staircase = pixelwise(defense)
        # What the staircase does not tell apart, the defense does not either.
        assert torch.equal(defense(images), defense(clever.attacks.descent.pixelwise(defense)(images) + 1e-5))
        assert not torch.equal(staircase(images), images)
    assert pixelwise(nn.AvgPool2d(3, 1, 1)) == pixelwise(clever.Chain([nn.Dropout(), quantize])) == clever.Identity()


def subject_and_image(network: nn.Module, targets=("top2", "least")) -> tuple[ImageContext, Tensor]:
    image = clever.PNG()(images_of((3, 8, 8), 1))[0]
    context = image_context(network, image, 0, targets, SETTINGS)
    assert context is not None
    return context, image


@pytest.fixture(scope="module")
def kinked() -> nn.Module:
    """Steep ReLU units beside the image, whose gradients the ball's random points hardly meet."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 5))
    nn.init.normal_(network[1].weight, std=0.4)
    nn.init.normal_(network[3].weight, std=0.4)
    return network.requires_grad_(False)


@pytest.mark.parametrize(
    "defense", [clever.Identity(), clever.Quantize(16), clever.PNG()], ids=lambda d: type(d).__name__
)
def test_a_score_with_the_path_in_it_does_not_exceed_the_distance_at_its_end(kinked, defense) -> None:
    network = clever.Defended(kinked, defense)
    order = clever.Gauge() if not isinstance(defense, clever.Identity) else clever.FirstOrder()
    with frozen(network):
        context, image = subject_and_image(network)
        radii = {norm: 1e3 for norm in Norm}
        path = path_maxima(network, image, context, order, radii)
        again = path_maxima(network, image, context, order, radii)
    assert path == again
    assert path.maxima.keys() == {(norm, label) for norm in Norm for label in context.classes}
    assert path.gradients == 3 * (2 * 20 + 2 * 33)
    for (norm, label), maxima in path.maxima.items():
        score = order.bound(context, label, norm, maxima[order.column(norm, SETTINGS)], math.inf)
        assert 0.1 * path.distances[norm, label] < score <= path.distances[norm, label] * 1.02, (norm, label)


def test_beyond_the_radius_nothing_counts(kinked) -> None:
    with frozen(kinked):
        context, image = subject_and_image(kinked, ("top2",))
        (near,) = path_maxima(kinked, image, context, clever.FirstOrder(), {Norm.L2: 10.0}).distances.values()
        radii = {Norm.L2: 0.99 * near}
        assert not path_maxima(kinked, image, context, clever.FirstOrder(), radii).maxima


def test_a_norm_is_given_by_its_name() -> None:
    images = torch.full((1, 1, 2, 2), 0.6)

    def margin(points: Tensor) -> Tensor:
        return points.flatten(1).sum(1) - 2

    found, expected = (clever.descend(margin, images, norm, steps=5) for norm in ("l2", Norm.L2))
    assert found.distance.equal(expected.distance)
    assert found.distance.isfinite().all()
    with pytest.raises(clever.InputError, match="unknown norm 'L3': it must be one of L1, L2, Linf"):
        clever.descend(margin, images, "L3", steps=5)
