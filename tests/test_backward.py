"""The surrogate of BPDA: the identity to the last bit, a function of the user's, a smooth staircase."""

import math

import pytest
import torch
from torch import Tensor, nn

import clever
from clever.classifier.smoothness import require_twice_differentiable
from clever.defenses.jpeg import linearized as jpeg_linear
from conftest import composed
from pipeline.shared.models.classifier import build_backward
from pipeline.shared.store.fingerprint import classifier_key

STAIRCASES = [
    clever.Quantize(16),
    clever.PNG(),
    clever.BitDepth(3),
    clever.BitDepth(3, rounding="truncate"),
    clever.JPEG(quality=50),
    clever.JPEG(quality=75, subsampling="4:4:4"),
    clever.JPEG(quality=75, subsampling="4:2:2"),
    clever.Chain([clever.Quantize(8), clever.JPEG()]),
]


def photograph(rows: int = 2, size: tuple[int, int] = (24, 20), channels: int = 3) -> Tensor:
    """Smooth images with some noise, away from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(rows, channels, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return 0.1 + 0.75 * smooth + 0.05 * torch.rand(rows, channels, *size, generator=generator)


def pulled(function, images: Tensor, cotangent: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf), leaf, cotangent)
    return gradient


@pytest.mark.parametrize("staircase", STAIRCASES, ids=repr)
def test_the_value_is_exact_and_the_derivative_that_of_the_backward_function(staircase) -> None:
    images, cotangent = photograph(), torch.randn(2, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    for backward in (clever.Smooth(staircase), lambda x: x.square()):
        through = clever.BPDA(staircase, backward)
        assert torch.equal(through(images), staircase(images))
        assert torch.equal(pulled(through, images, cotangent), pulled(backward, images, cotangent))
    assert torch.equal(pulled(clever.BPDA(staircase), images, cotangent), cotangent)


@pytest.mark.parametrize(
    ("staircase", "step"),
    [
        (clever.Quantize(16), 1 / 15),
        (clever.PNG(), 1 / 255),
        (clever.BitDepth(2), 1 / 3),
        (clever.BitDepth(2, rounding="truncate"), 64 / 255),
    ],
)
def test_the_derivative_is_largest_at_a_jump_and_smallest_in_the_middle_of_a_step(staircase, step: float) -> None:
    # One jump of the staircase, found by bisection; its neighbours lie a step away.
    low, high = torch.tensor(0.4), torch.tensor(0.4 + step)
    first = staircase(low)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if torch.equal(staircase(middle), first) else (low, middle)
    values = torch.stack([high, high + step / 2, high + step / 4]).view(3, 1, 1, 1)
    for sharpness in (0.0, 0.5, 0.9):
        slopes = pulled(clever.Smooth(staircase, sharpness), values, torch.ones_like(values)).flatten()
        expected = torch.tensor([1 + sharpness, 1 - sharpness, 1.0])
        torch.testing.assert_close(slopes, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("staircase", STAIRCASES, ids=repr)
def test_a_smooth_staircase_stays_near_the_staircase(staircase) -> None:
    """A sine takes back a good deal of the half step that a value may lie off its level."""
    images = photograph()
    smooth = clever.Smooth(staircase, 1.0)(images)
    difference, original = (smooth - staircase(images)).abs().mean(), (staircase(images) - images).abs().mean()
    assert 0 < difference < 0.75 * original


@pytest.mark.parametrize("size", [(24, 20), (16, 16), (9, 33), (8, 3), (1, 1)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("channels", [1, 3])
def test_with_true_rounding_it_is_jpeg_but_for_single_levels(size, subsampling: str, channels: int) -> None:
    levels = (255 * photograph(9, size, channels)).round()
    exact = clever.JPEG(quality=60, subsampling=subsampling)(levels / 255) * 255
    ours = jpeg_linear.compress(levels, 60, subsampling, torch.round)
    assert ours.shape == levels.shape
    # Three rounded planes make a level of a colour; a coefficient on a step may go the other way, not in most images.
    apart, lost = ((ours - exact).abs().flatten(1).mean(1), (levels - exact).abs().flatten(1).mean(1))
    assert float(apart.median()) <= (0.3 if channels == 1 else 1.4)
    assert float(lost.median()) >= (3 if size != (1, 1) else 1)


def test_blocks_are_an_orthogonal_map_and_come_back() -> None:
    plane = torch.randn(2, 11, 17)
    blocks = jpeg_linear.to_blocks(plane)
    torch.testing.assert_close(jpeg_linear.from_blocks(blocks, 11, 17), plane, rtol=0, atol=1e-3)
    whole = torch.randn(2, 16, 24)
    torch.testing.assert_close(jpeg_linear.to_blocks(whole).square().sum(), whole.square().sum(), rtol=1e-3, atol=0)


def test_behind_jpeg_it_predicts_changes_that_the_identity_does_not() -> None:
    """Of small changes of the image, JPEG keeps those of coefficients near a step: so does the derivative."""
    jpeg, images = clever.JPEG(quality=50), photograph(1, (32, 32))
    generator = torch.Generator().manual_seed(3)
    changes = torch.randn(300, 3, 32, 32, generator=generator) * 4 / 255
    true = jpeg(images + changes) - jpeg(images)
    direction = torch.randn(3, 32, 32, generator=generator)
    gains = (true * direction).flatten(1).sum(1)
    predicted = {
        name: (changes * pulled(backward, images, direction.unsqueeze(0))).flatten(1).sum(1)
        for name, backward in {"smooth": clever.Smooth(jpeg), "identity": clever.Identity()}.items()
    }
    agreement = {name: float(torch.corrcoef(torch.stack([gains, of]))[0, 1]) for name, of in predicted.items()}
    print(agreement)
    assert agreement["smooth"] > 1.2 * max(agreement["identity"], 0)


def test_a_network_of_ones_own_is_attacked_and_scored_through_it() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 20, 3))
    staircase = clever.Quantize(4)
    network = clever.Defended(linear, staircase, backward=clever.Smooth(staircase, 0.5))
    images = photograph(1)
    assert torch.equal(network(images), linear(staircase(images)))
    own, plain = (pulled(lambda x, f=f: f(x)[:, 0], images, torch.ones(1)) for f in (network, linear))
    slope = 1 - 0.5 * (2 * math.pi * 3 * images).cos()
    torch.testing.assert_close(own, plain * slope, rtol=1e-4, atol=1e-6)
    assert network.backward == clever.Smooth(staircase, 0.5)


def test_of_a_chain_jpeg_alone_can_be_smooth() -> None:
    images, cotangent, jpeg = photograph(), torch.ones(2, 3, 24, 20), clever.JPEG()
    chain = clever.Chain([clever.Quantize(8), nn.Dropout(), jpeg])
    alone = pulled(clever.Smooth(chain, jpeg_only=True), images, cotangent)
    assert torch.equal(alone, pulled(clever.Smooth(jpeg), images, cotangent))


@pytest.mark.parametrize("sharpness", [-0.1, 1.1, math.nan, True])
def test_the_sharpness_is_checked(sharpness: float) -> None:
    with pytest.raises(clever.InputError, match=r"the sharpness of a smooth staircase is .* from 0 to 1"):
        clever.Smooth(clever.PNG(), sharpness)


def test_what_has_no_substitute_is_refused() -> None:
    with pytest.raises(clever.InputError, match="no smooth surrogate for function: it has neither"):
        clever.Smooth(lambda x: x)
    with pytest.raises(clever.InputError, match="no smooth surrogate for Dropout"):
        clever.Smooth(clever.Chain([clever.PNG(), nn.Dropout()]))
    with pytest.raises(clever.InputError, match="backward is given, but bpda is false"):
        clever.Defended(nn.Flatten(), clever.PNG(), bpda=False, backward=clever.Identity())


def test_second_order_is_refused_behind_any_substitute() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    network = clever.Defended(linear, clever.Identity(), backward=torch.sin)
    with pytest.raises(clever.InputError, match="not defined for a transformation with BPDA"):
        require_twice_differentiable(network, torch.rand(1, 3, 2, 2))


def test_the_configuration_chooses_it() -> None:
    png = clever.PNG()
    assert build_backward("identity", png) is None
    assert build_backward("smooth", png) == clever.Smooth(png)
    assert build_backward("smooth", clever.Identity()) is None
    own = "{_target_: clever.Smooth, transformation: {_target_: clever.JPEG}, sharpness: 1}"
    chosen = composed(f"attack.backward={own}")
    assert build_backward(chosen.attack.backward, png) == clever.Smooth(clever.JPEG(), 1)
    assert (composed().backward, composed().attack.backward) == ("identity", "smooth_jpeg")
    both = clever.Chain([png, clever.JPEG()])
    assert build_backward("smooth_jpeg", png) is None
    assert build_backward("smooth_jpeg", both) == clever.Smooth(both, jpeg_only=True)
    noisy = clever.Chain([clever.Noise(), clever.JPEG()])
    assert build_backward("smooth_jpeg", clever.Expectation(noisy)) == clever.Smooth(noisy, jpeg_only=True)
    assert build_backward("smooth_jpeg", clever.Expectation(clever.Noise())) is None
    with pytest.raises(clever.InputError, match="backward is 'sharp': it must be one of identity, smooth, smooth_jpeg"):
        build_backward("sharp", png)


def test_stored_numbers_are_told_apart_by_it() -> None:
    linear, png = nn.Linear(2, 2), clever.PNG()
    functions = [None, clever.Smooth(png), clever.Smooth(png, 0.5), nn.Tanh()]
    found = [classifier_key(clever.Defended(linear, png, backward=function), {}) for function in functions]
    assert all(one != other for at, one in enumerate(found) for other in found[:at])
    with pytest.raises(clever.InputError, match="the backward function function needs a repr"):
        classifier_key(clever.Defended(linear, png, backward=lambda x: x), {})
