"""Whatever a defense provides is used, whoever wrote it: steps, coefficient steps, surrogate, gradient, build."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import clever
from clever.attacks.cost import planned_passes
from clever.attacks.descent import pixelwise
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.bounds.gauge.order import gauge_function
from clever.classifier.image_context import image_context
from clever.classifier.wrappers import frozen
from clever.defenses.capabilities import has_useful_gradient, needs_surrogate, steps_of
from clever.defenses.jpeg.linearized import Linear
from clever.defenses.staircase import CoefficientSteps
from clever.norms import Norm
from clever.scoring.path import path_maxima
from pipeline.shared.models.classifier import build_backward
from pipeline.shared.store.fingerprint import classifier_key

JPEG = clever.JPEG(50)
HARD = Strength(steps=8, starts=1, rounds=2)


@dataclass(frozen=True)
class Bare:
    """JPEG, of which nothing is known."""

    def __call__(self, images: Tensor) -> Tensor:
        return JPEG(images)


@dataclass(frozen=True)
class Open(Bare):
    """JPEG under another name that answers all questions."""

    build: ClassVar[str] = "codec 3"

    def pixelwise(self):
        return clever.PNG()

    def linear(self, image: Tensor) -> Linear:
        return JPEG.linear(image)

    def surrogate(self, rounding):
        return JPEG.surrogate(rounding)

    def coefficient_steps(self, image: Tensor) -> CoefficientSteps:
        return JPEG.coefficient_steps(image)


@dataclass(frozen=True)
class Warp:
    """Roots: no staircase, with a derivative of its own."""

    useful_gradient: ClassVar[bool] = True

    def __call__(self, images: Tensor) -> Tensor:
        return (images + 0.1).sqrt()


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.Tanh(), nn.Linear(16, 4)).eval()


@pytest.fixture
def images() -> Tensor:
    return (torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255).round() / 255


def scores(network: nn.Module, images: Tensor, defense, order) -> list[float]:
    settings = replace(clever.paper(n_batches=5, n_samples=8, radius={"L2": 9.0}, cap=False), path=True)
    found = clever.score(
        clever.Defended(network, defense), images, settings, targets=["top2"], norms=["L2"], order=order, progress=False
    )
    return [one.score for one in found]


def on_path(network: nn.Module, image: Tensor, defense) -> dict[tuple[Norm, int], float]:
    """How far the images of the short attack are."""
    defended, settings = clever.Defended(network, defense).eval(), clever.paper(radius={"L2": 9.0})
    context = image_context(defended, image, 0, ["top2"], settings)
    assert context
    with frozen(defended):
        return path_maxima(defended, image, context, clever.FirstOrder(), {Norm.L2: 9.0}).distances


def distances(network: nn.Module, images: Tensor, defense) -> list[float]:
    defended = clever.Defended(network, defense, backward=build_backward("smooth_jpeg", defense)).eval()
    predicted = defended(images).argmax(1).tolist()
    targets = [(label + 1) % 4 for label in predicted]
    return smallest_distances(defended, images, predicted, targets, Norm.L2, HARD, seed=0).distance.tolist()


def publicly(network: nn.Module, images: Tensor, defense) -> list[float]:
    """By `clever.attack`, which itself chooses the surrogate gradient."""
    defended = clever.Defended(network, defense)
    return [one.distance for one in clever.attack(defended, images, norms=["L2"], steps=8, progress=False)]


def test_another_defense_that_says_the_same_is_scored_and_attacked_as_jpeg_is(network, images: Tensor) -> None:
    for order in (clever.Gauge(), clever.FirstOrder()):
        assert scores(network, images, Open(), order) == scores(network, images, JPEG, order)
    assert on_path(network, images[0], Open()) == on_path(network, images[0], JPEG) != {}
    assert distances(network, images, Open()) == distances(network, images, JPEG)
    assert publicly(network, images, Open()) == publicly(network, images, JPEG)
    assert planned_passes(Norm.L2, HARD, Open()) == planned_passes(Norm.L2, HARD, JPEG)
    assert torch.equal(clever.Smooth(Open())(images), clever.Smooth(JPEG)(images))
    assert pixelwise(Open()) == pixelwise(JPEG)


def test_of_a_defense_that_says_nothing_nothing_is_assumed(network, images: Tensor) -> None:
    assert distances(network, images, Bare()) != distances(network, images, JPEG)
    assert on_path(network, images[0], Bare()) != on_path(network, images[0], JPEG)
    assert pixelwise(Bare()) == clever.Identity()
    assert build_backward("smooth_jpeg", Bare()) is None
    assert not needs_surrogate(Bare())
    assert not has_useful_gradient(Bare())
    with pytest.raises(clever.InputError, match=r"Bare\(\) is not a pixelwise staircase"):
        scores(network, images, Bare(), clever.Gauge())
    with pytest.raises(clever.InputError, match="no smooth surrogate for Bare"):
        clever.Smooth(Bare())


@pytest.mark.parametrize(
    ("left_out", "found_by"), [("surrogate", on_path), ("pixelwise", on_path), ("linear", distances)]
)
def test_each_answer_counts(left_out: str, found_by, network, images: Tensor) -> None:
    less = type("Less", (Open,), {left_out: None})()
    given = images[0] if found_by is on_path else images
    assert found_by(network, given, less) != found_by(network, given, Open())


def test_a_setting_called_steps_is_no_staircase() -> None:
    minimised = clever.TVMinimization(steps=5)
    assert pixelwise(minimised) == clever.Identity()
    with pytest.raises(clever.InputError, match="is not a pixelwise staircase"):
        steps_of(minimised)


@pytest.mark.parametrize("kind", [clever.Quantize(16), JPEG, clever.Identity(), clever.TVMinimization()])
def test_without_a_word_a_gradient_is_not_useful(kind) -> None:
    assert not has_useful_gradient(kind)
    assert not has_useful_gradient(clever.Chain([Warp(), kind])) or kind == clever.Identity()


def test_chains_and_means_ask_their_parts_for_a_gradient() -> None:
    assert has_useful_gradient(Warp())
    assert has_useful_gradient(clever.Chain([Warp(), clever.Identity(), clever.GaussianBlur()]))
    random = clever.Chain([clever.Noise(), Warp()])
    assert has_useful_gradient(clever.Expectation(random))
    assert not has_useful_gradient(clever.Expectation(clever.Chain([clever.Noise(), JPEG])))


def test_the_codec_of_whatever_is_held_is_part_of_the_key() -> None:
    def codec(defense) -> object:
        return classifier_key(clever.Defended(nn.Linear(2, 2), defense), {})["codec"]

    noisy = clever.Chain([clever.Noise(), JPEG])
    assert codec(clever.PNG()) == codec(Bare()) == ""
    assert "libjpeg" in str(codec(JPEG))
    assert codec(JPEG) == codec(noisy) == codec(clever.Expectation(noisy))
    assert codec(Open()) == "codec 3"
    assert codec(clever.Chain([JPEG, Open()])) == f"{codec(JPEG)}, codec 3"


def test_a_defense_that_rounds_coefficients_of_its_own_has_a_gauge(images: Tensor) -> None:
    """Of mean and difference of neighbours. A jump of one coefficient reaches the margin: its distance is exact."""
    step, image = 0.3, images[0]

    def split(pixels: Tensor) -> Tensor:
        left, right = pixels.unflatten(3, (-1, 2)).unbind(4)
        return torch.cat([left + right, left - right], 3).flatten(1) / math.sqrt(2)

    coefficients = split(image.unsqueeze(0))
    ones = torch.ones_like(coefficients[0])

    class Differences(Bare):
        def coefficient_steps(self, image: Tensor) -> CoefficientSteps:
            return CoefficientSteps(split(image.unsqueeze(0)), step * ones, 2.0, 1.0, step * ones, split)

    left = torch.zeros(1, 3, 16, 16)
    left[0, 0, 0, 0], left[0, 0, 0, 1] = 1, -1  # along the difference of the first two pixels, downwards
    at = coefficients[0, 8] / step
    (distance,) = gauge_function(Differences(), image)(left, torch.tensor([step * math.sqrt(2)]))
    expected = float(at - (at.round() - 0.5)) * step
    assert distance.tolist() == pytest.approx([expected, expected, expected / math.sqrt(768)], rel=1e-3)


def test_uneven_steps_have_no_substitute_unless_the_defense_makes_one(images: Tensor) -> None:
    levels = torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64)

    class Uneven(Bare):
        def steps(self) -> clever.Steps:
            return clever.Steps.at(levels, 0.5)

    class Smoothed(Uneven):
        def surrogate(self, rounding):
            return lambda images: rounding(10 * images)

    with pytest.raises(clever.InputError, match=r"not evenly spaced.* a method surrogate\(rounding\)"):
        clever.Smooth(Uneven())
    smooth = clever.Smooth(Smoothed(), 0.5)
    assert torch.equal(smooth(images), smooth.rounded(10 * images))
    assert not needs_surrogate(Smoothed())  # attacks know its steps
    assert torch.equal(clever.Smooth(Smoothed(), jpeg_only=True)(images), images)
