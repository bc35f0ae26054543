"""The gauge behind staircases: against brute force, linear programs and images that an attacker would find."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor, nn

import clever
from clever._internal.types import Transformation
from clever.bounds.gauge.jpeg import CoefficientGauge
from clever.bounds.gauge.jumps import _hull, _listed, sides
from clever.bounds.gauge.order import NORMS, gauge_function, minimiser
from clever.classifier.image_context import image_context
from clever.defenses.bpda import bare_network
from clever.defenses.capabilities import steps_of
from clever.defenses.chain import Chain, Identity
from clever.defenses.jpeg.defense import JPEG
from clever.defenses.jpeg.linearized import Linear, largest_singular_value
from clever.defenses.quantization import PNG, BitDepth, Quantize
from clever.defenses.staircase import Steps
from clever.norms import Norm


@dataclass(frozen=True)
class Own:
    """A staircase of one's own, its steps uneven."""

    LEVELS = torch.tensor([0.0, 0.1, 0.5, 1.0])
    BOUNDARIES = torch.tensor([0.2, 0.3, 0.9])

    def __call__(self, images: Tensor) -> Tensor:
        return self.LEVELS.to(images)[torch.bucketize(images, self.BOUNDARIES.to(images), right=True)]

    def steps(self) -> Steps:
        return Steps(self.BOUNDARIES.double(), self.LEVELS.double())


STAIRCASES: list[Transformation] = [
    Quantize(2),
    Quantize(5),
    BitDepth(2),
    BitDepth(2, rounding="truncate"),
    Chain([Identity(), BitDepth(3), Quantize(4)]),
    Chain([PNG(), Chain([BitDepth(2, rounding="truncate"), Quantize(3)])]),
    Own(),
]


def case(seed: int, eight_bits: bool, pixels: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """An image, a gradient, a margin."""
    generator = torch.Generator().manual_seed(seed)
    image, other = torch.rand(2, 1, 1, pixels, generator=generator, dtype=torch.float64)
    gradient = torch.randn(1, 1, pixels, generator=generator, dtype=torch.float64)
    image = (image * 255).round() / 255 if eight_bits else image
    return image, gradient, (0.05 + other[0, 0, :1]) * gradient.abs().sum() / 2


def choices(defense: Transformation, image: Tensor, gradient: Tensor) -> list[list[tuple[float, float]]]:
    """For each pixel the gain and the distance of each of its levels, by the definition of a staircase."""
    steps, start = steps_of(defense), defense(image.unsqueeze(0)).flatten()
    edges = steps.boundaries.tolist()
    found = []
    for x0, z0, slope in zip(image.flatten().tolist(), start.tolist(), gradient.flatten().tolist(), strict=True):
        own = int((steps.levels - z0).abs().argmin())
        nearest = [
            0.0 if k == own else max(0.0, edges[k - 1] - x0 if k > own else x0 - edges[k])
            for k in range(len(steps.levels))
        ]
        found.append([(-slope * (level - z0), way) for level, way in zip(steps.levels.tolist(), nearest, strict=True)])
    return found


def brute_force(of_pixel: list[list[tuple[float, float]]], margin: float) -> list[float]:
    """The least distance over all combinations of levels, in each norm."""
    best = [math.inf] * 3
    for combination in itertools.product(*of_pixel):
        if sum(gain for gain, _ in combination) >= margin - 1e-9:
            ways = [way for _, way in combination]
            of_norm = [sum(ways), math.hypot(*ways), max(ways)]
            best = [min(pair) for pair in zip(best, of_norm, strict=True)]
    return best


def relaxation(of_pixel: list[list[tuple[float, float]]], margin: float, p: int) -> float:
    """The linear program: a share of each jump, at most one in all for a pixel.

    Its costs in units of the best choice of whole jumps: a solver takes costs below 1e-7 for none.
    """
    gains = [gain for pixel in of_pixel for gain, _ in pixel]
    least = brute_force(of_pixel, margin)[p - 1]
    unit = least if 0 < least < math.inf else 1.0
    costs = [(way / unit) ** p for pixel in of_pixel for _, way in pixel]
    one = np.zeros((len(of_pixel), len(gains)))
    for row, start in zip(one, np.cumsum([0, *map(len, of_pixel)]), strict=False):
        row[start : start + len(of_pixel[0])] = 1
    found = linprog(costs, A_ub=np.vstack([-np.array(gains), one]), b_ub=[-margin, *[1] * len(one)])
    return unit * float(found.fun) ** (1 / p) if found.status == 0 else math.inf


@pytest.mark.parametrize("defense", STAIRCASES, ids=lambda one: type(one).__name__)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), eight_bits=st.booleans())
def test_the_gauge_is_the_relaxation_and_never_above_brute_force(
    defense: Transformation, seed: int, eight_bits: bool
) -> None:
    image, gradient, margin = case(seed, eight_bits)
    h = gauge_function(defense, image)(gradient.unsqueeze(0), margin)[0].tolist()
    of_pixel = choices(defense, image, gradient)
    for found, least in zip(h, brute_force(of_pixel, float(margin)), strict=True):
        assert found <= least * (1 + 1e-9) + 1e-12
    for p in (1, 2):
        assert h[p - 1] == pytest.approx(relaxation(of_pixel, float(margin), p), rel=2e-3, abs=1e-6)
    assert h[2] == pytest.approx(brute_force(of_pixel, float(margin))[2], rel=1e-4, abs=1e-6)


def test_without_a_transformation_it_is_the_dual_norm() -> None:
    image, gradient, margin = case(0, False, 48)
    for identity in (None, Identity(), Chain([Identity()])):
        k = margin / gauge_function(identity, image)(gradient.unsqueeze(0), margin)[0]
        assert torch.allclose(k, torch.stack([norm.dual.of(gradient.unsqueeze(0))[0] for norm in NORMS]), rtol=1e-12)


@pytest.mark.parametrize("defense", [PNG(), Quantize(16), BitDepth(3, rounding="truncate"), Own()], ids=repr)
def test_more_margin_takes_a_longer_way_and_beyond_all_gains_none(defense: Transformation) -> None:
    image, gradient, _ = case(1, True, 48)
    total = sum(max(gain for gain, _ in pixel) for pixel in choices(defense, image, gradient))
    margins = torch.linspace(0.01, 1.01, 41, dtype=torch.float64) * total
    h = gauge_function(defense, image)(gradient.expand(41, 1, 1, 48), margins)
    assert bool((h.diff(dim=0)[:-1] >= -1e-9).all())
    assert bool(h[:-1].isfinite().all())
    assert bool(h[-1].isinf().all())


def test_finer_steps_come_near_the_identity() -> None:
    """In L2; in Linf half a step takes a pixel a whole one further, and in L1 the box ends a single pixel's way."""
    image, gradient, _ = case(2, False, 300)
    image, margin = 0.4 + 0.2 * image, gradient.square().sum().view(1) / 10
    finest, free = (gauge_function(t, image)(gradient.unsqueeze(0), margin)[0] for t in (Quantize(256), None))
    coarse = gauge_function(Quantize(8), image)(gradient.unsqueeze(0), margin)[0]
    assert float(finest[1]) == pytest.approx(float(free[1]), rel=0.03)
    assert float(coarse[1]) < 0.7 * float(free[1])


@pytest.mark.parametrize("defense", [Quantize(7), PNG(), BitDepth(3, rounding="truncate")], ids=repr)
def test_the_closed_form_for_even_steps_is_that_for_any(defense: Transformation) -> None:
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(1, 40, generator=generator, dtype=torch.float64)
    price, down = 3 * torch.rand(9, 40, generator=generator, dtype=torch.float64), torch.rand(9, 40) < 0.5
    steps = steps_of(defense)
    level = (steps.levels - defense(x0.view(1, 1, 1, -1)).flatten().unsqueeze(1)).abs().argmin(1).unsqueeze(0)
    even = sides(steps, x0, defense(x0.view(1, 1, 1, -1)).flatten(1)).in_direction(down)
    listed = _listed(x0, level, steps.boundaries, steps.levels).in_direction(down)
    radius = torch.rand(9, 1, generator=generator, dtype=torch.float64)
    for p in (1, 2):
        taken = [(jumps, jumps.best(price, p)) for jumps in (even, listed)]
        assert torch.allclose(*(price * jumps.gain(k) - jumps.distance(k) ** p for jumps, k in taken), atol=1e-9)
    for k in (even.within(radius), listed.within(radius)), (even.most(), listed.most()):
        assert torch.allclose(even.gain(k[0].expand(9, 40)), listed.gain(k[1]), atol=1e-9)


def test_a_hull_leaves_out_what_lies_above_it() -> None:
    gain, cost = torch.tensor([0.0, 1, 2, 3, 4]), torch.tensor([0.0, 2, 1, 9, 5])
    slopes, corners = _hull(gain, cost)
    assert slopes.tolist() == [0.5, 2, math.inf, math.inf]
    assert corners[:3].tolist() == [0, 2, 4]


@pytest.mark.parametrize("defense", [*STAIRCASES, PNG(), BitDepth(5, rounding="truncate")], ids=repr)
def test_steps_are_where_the_transformation_jumps(defense: Transformation) -> None:
    steps = steps_of(defense)
    edges = torch.cat([torch.zeros(1), steps.boundaries.float(), torch.ones(1)])
    inside = torch.stack([edges[:-1] + 1e-5, edges[1:] - 1e-5]).view(2, 1, 1, -1)
    assert torch.allclose(defense(inside).view(2, -1), steps.levels.float(), atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("defense", [PNG(), Quantize(16), BitDepth(3), Own()], ids=repr)
def test_the_minimiser_reaches_the_margin_near_the_gauges_distance(defense: Transformation, norm: Norm) -> None:
    images = (torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    gradients = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    margins = torch.tensor([2.0, 6.0, 12.0])
    found = minimiser(defense, images, gradients, margins, norm)
    gained = -(gradients * (defense(found) - defense(images))).flatten(1).sum(1)
    assert bool((gained >= margins - 1e-4).all())
    distances = norm.of(found - images)
    for image, gradient, margin, distance in zip(images, gradients, margins, distances, strict=True):
        h = gauge_function(defense, image)(gradient.unsqueeze(0), margin.view(1))[0, NORMS.index(norm)]
        assert h * (1 - 1e-4) <= distance <= 1.3 * h + 1e-4
    furthest = minimiser(defense, images, gradients, torch.full((3,), 1e9), norm)
    assert torch.equal(defense(furthest), (gradients < 0).to(images))


class Affine(nn.Module):
    """Logits w'z + b and 0."""

    def __init__(self, weights: Tensor, bias: float) -> None:
        super().__init__()
        self.weights, self.bias = weights, bias

    def forward(self, z: Tensor) -> Tensor:
        margin = (z * self.weights).flatten(1).sum(1) + self.bias
        return torch.stack([margin, 0 * margin], 1)


def affine(defense: Transformation, size: int, margin: float) -> tuple[clever.Defended, Tensor]:
    """A smooth image of 8 bits and an affine network with that margin at t(x0)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    image = nn.functional.interpolate(coarse, (size, size), mode="bilinear")[0].mul(0.8).add(0.1)
    image = (image * 255).round() / 255
    weights = torch.randn(3, size, size, generator=generator) / size
    bias = margin - float((defense(image.unsqueeze(0))[0] * weights).sum())
    return clever.Defended(Affine(weights, bias), defense), image


SETTINGS = clever.paper(n_batches=5, n_samples=4, radius={"L1": 30.0, "L2": 3.0, "Linf": 0.1}, clip=True)


def scores(network: nn.Module, image: Tensor) -> dict[str, float]:
    found = clever.score(network, image, SETTINGS, targets=["top2"], order=clever.Gauge(), progress=False)
    return {score.norm: score.score for score in found}


@pytest.mark.parametrize("defense", [PNG(), Quantize(16), BitDepth(3)], ids=repr)
def test_the_score_of_an_affine_network_is_the_gauge_and_its_minimiser_is_adversarial(defense: Transformation) -> None:
    network, image = affine(defense, 8, 0.7)
    f = bare_network(network)
    assert f is not None
    weights, margin = network.network.weights.unsqueeze(0), torch.tensor([0.7])
    for norm, score in scores(network, image).items():
        named = Norm.parse(norm)
        expected = float(gauge_function(defense, image)(weights, margin)[0, NORMS.index(named)])
        assert score == pytest.approx(min(expected, SETTINGS.radius[norm]), rel=1e-3)
        adversarial = minimiser(defense, image.unsqueeze(0), weights, margin * 1.001, named)
        assert int(network(adversarial).argmax()) == 1
        assert score <= float(named.of(adversarial - image))


def test_a_step_at_the_image_itself_makes_a_score_of_zero() -> None:
    """Truncation: every pixel of 32 k / 255 falls a level for nothing."""
    network, image = affine(BitDepth(3, rounding="truncate"), 4, 0.05)
    image = (image * 255 / 32).round() * 32 / 255
    network.network.bias += 0.05 - float(network(image.unsqueeze(0))[0, 0])
    assert all(score <= 1e-6 for score in scores(network, image).values())


def test_behind_jpeg_the_linear_maps_are_those_of_the_codec() -> None:
    _, image = affine(Identity(), 32, 1.0)
    for subsampling, known in (("4:2:0", 0.691), ("4:4:4", 0.804)):
        largest = largest_singular_value((3, 32, 32), subsampling)
        assert largest == pytest.approx(known, rel=0.01)
        linear = Linear(image, 75, subsampling)
        coefficients = linear.encode(image.unsqueeze(0) * 255)
        back = linear.decode((coefficients / linear.table).round() * linear.table) + 128
        assert float((back / 255 - JPEG(75, subsampling)(image.unsqueeze(0))).abs().mean()) < 1.5 / 255
        generator = torch.Generator().manual_seed(1)
        change = torch.randn(1, 3, 32, 32, generator=generator)
        other = torch.randn(1, len(linear.table), generator=generator)
        moved = linear.encode(change) - linear.encode(0 * change)
        assert float(moved.norm()) <= largest * float(change.norm())
        inner = (linear.decode(other) * change).sum(), (linear.to_coefficients(change) * other).sum()
        assert torch.allclose(*inner, rtol=1e-3)


@pytest.mark.parametrize("jpeg", [JPEG(), JPEG(50, "4:4:4"), Chain([JPEG(90, "4:2:2")])], ids=repr)
def test_no_image_that_jpeg_carries_over_the_boundary_is_nearer_than_its_gauge(jpeg: Transformation) -> None:
    """Along the gradient and along random directions, through the real codec."""
    network, image = affine(jpeg, 16, 0.3)
    found = scores(network, image)
    assert 0 < found["L2"] < 3
    assert found["L1"] == pytest.approx(found["L2"], rel=1e-5)
    assert found["Linf"] == pytest.approx(found["L2"] / 768**0.5, rel=1e-4)
    ways = -network.network.weights * torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    ways[0] = -network.network.weights
    nearest = math.inf
    for step in torch.linspace(0.02, 2, 24):
        there = (image + step * ways / Norm.L2.of(ways).view(-1, 1, 1, 1)).clamp(0, 1)
        distances = Norm.L2.of(there - image)[network(there).argmax(1) == 1]
        nearest = min(nearest, float(distances.min()) if len(distances) else math.inf)
    assert found["L2"] < nearest < math.inf


@pytest.mark.parametrize(
    ("defense", "options", "message"),
    [
        (Chain([BitDepth(3), JPEG()]), {}, "JPEG.* is not a pixelwise staircase .*clever.Quantize"),
        (lambda x: x / 2, {}, "is not a pixelwise staircase"),
        (JPEG(to_uint8="truncate"), {}, "needs to_uint8='round'"),
        (Quantize(16), {"bpda": False}, "the gauge needs BPDA"),
        (Chain([Quantize(4), lambda x: 1 - x]), {}, "is not a pixelwise staircase"),
    ],
)
def test_what_has_no_gauge_says_why(defense: Transformation, options: dict[str, bool], message: str) -> None:
    network, image = affine(Identity(), 8, 1.0)
    with pytest.raises(clever.InputError, match=message):
        scores(clever.Defended(network.network, defense, **options), image)


def test_in_lower_precision_the_margin_is_still_the_full_one() -> None:
    """Its logits lie near 100, where numbers of bfloat16 are half a unit apart."""
    affine_network, image = affine(Quantize(16), 8, 0.7)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(image.numel(), 2))
    with torch.no_grad():
        linear[1].weight.copy_(torch.stack([affine_network.network.weights.flatten(), torch.zeros(image.numel())]))
        linear[1].bias.copy_(torch.tensor([100.0 + affine_network.network.bias, 100.0]))
    network = clever.Defended(linear, Quantize(16))
    computed = clever.Defended(clever.Compute(precision="bfloat16").applied(linear), Quantize(16))
    context = image_context(network, image, 0, ["top2"], SETTINGS)
    assert context is not None
    points = image + 0.01 * torch.randn(4, *image.shape, generator=torch.Generator().manual_seed(1))
    full, lower = (clever.Gauge().measure(f, image, context, context.classes)(points) for f in (network, computed))
    torch.testing.assert_close(lower, full, rtol=0.02, atol=0)


def test_images_and_references_that_the_gauge_cannot_take_are_refused() -> None:
    network, image = affine(JPEG(), 16, 1.0)
    with pytest.raises(clever.InputError, match="8-bit images"):
        scores(network, image * 0.999)
    network, image = affine(Quantize(3), 8, 1.0)
    undefended = clever.paper(n_batches=5, n_samples=4, radius={"L2": 1.0}, reference="undefended")
    with pytest.raises(clever.InputError, match="reference is undefended: the gauge needs the margin"):
        clever.score(network, image, undefended, targets=["top2"], norms=["L2"], order=clever.Gauge(), progress=False)


@pytest.mark.parametrize(
    ("boundaries", "levels", "message"),
    [
        ([0.5, 0.4], [0, 0.5, 1], "boundaries of a staircase"),
        ([0.5], [0, 0], "levels"),
        ([], [0, 1], "2 levels and 0 boundaries"),
    ],
)
def test_steps_that_are_none_are_refused(boundaries: list[float], levels: list[float], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        Steps(torch.tensor(boundaries), torch.tensor(levels))


def test_nan_shows() -> None:
    """A gauge of NaN must not come out as 0, a gradient that no jump profits from."""

    class Root(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            value = z.flatten(1).sqrt().sum(1) + 1
            return torch.stack([value, 0 * value], 1)

    image = torch.full((1, 4, 4), 0.5)
    with pytest.raises(clever.NotFinite):
        scores(clever.Defended(Root(), Quantize(2)), image)


def test_the_jpeg_gauge_is_used_for_jpeg_alone() -> None:
    image = affine(Identity(), 16, 1.0)[1]
    assert isinstance(gauge_function(JPEG(), image), CoefficientGauge)
