"""The defenses against their definitions and real codecs; BPDA around each of them."""

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from clever._internal.types import Transformation
from clever.classifier.margin import gradient_norms
from clever.defenses.bpda import BPDA, Defended
from clever.defenses.chain import Chain, Identity
from clever.defenses.jpeg.defense import JPEG
from clever.defenses.quantization import PNG, BitDepth, Quantize
from clever.errors import InputError
from clever.norms import Norm
from conftest import composed
from pipeline.shared.models.classifier import build_defense

DEFENSES: list[Transformation] = [
    Identity(),
    JPEG(),
    JPEG(quality=20, subsampling="4:4:4", to_uint8="truncate"),
    BitDepth(),
    BitDepth(bits=5, rounding="truncate"),
    Quantize(levels=7),
    PNG(),
    Chain([BitDepth(bits=4), JPEG(quality=50)]),
]


@pytest.fixture
def images() -> torch.Tensor:
    """Smooth images with some noise, a little outside [0,1] at places."""
    noise = torch.rand(5, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    return torch.linspace(-0.05, 0.9, 40) + 0.2 * noise


def through_file(pixels: np.ndarray, kind: str, **options: object) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    file.seek(0)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [5, 75, 100])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(("to_uint8", "whole"), [("round", torch.round), ("truncate", torch.floor)])
def test_jpeg_is_what_a_file_would_hold(
    images: torch.Tensor, quality: int, subsampling: str, to_uint8: str, whole: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    transformed = JPEG(quality=quality, subsampling=subsampling, to_uint8=to_uint8)(images)
    for before, after in zip(images, transformed, strict=True):
        pixels = whole(before.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy()
        expected = through_file(pixels, "JPEG", quality=quality, subsampling=subsampling)
        assert np.array_equal((after * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), expected)


def test_jpeg_defaults_are_those_of_the_codec(images: torch.Tensor) -> None:
    pixels = (images[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    expected = through_file(pixels, "JPEG")
    assert np.array_equal((JPEG()(images[:1])[0] * 255).round().permute(1, 2, 0).numpy(), expected)


def test_jpeg_of_grey_images(images: torch.Tensor) -> None:
    grey = images[:, :1]
    pixels = (grey[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal((JPEG()(grey)[0, 0] * 255).round().numpy(), through_file(pixels, "JPEG", quality=75))


def test_png_is_what_a_file_would_hold(images: torch.Tensor) -> None:
    pixels = (images[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    expected = torch.from_numpy(through_file(pixels, "PNG").copy()).permute(2, 0, 1) / 255
    assert torch.allclose(PNG()(images)[0], expected, atol=1e-7)


@pytest.mark.parametrize("bits", range(1, 9))
def test_truncation_is_the_authors_shift_of_bits(images: torch.Tensor, bits: int) -> None:
    levels = (images.clamp(0, 1) * 255).to(torch.uint8)
    expected = (levels >> (8 - bits) << (8 - bits)).float() / 255
    assert torch.allclose(BitDepth(bits=bits, rounding="truncate")(images), expected, atol=1e-7)


@pytest.mark.parametrize("bits", range(1, 9))
def test_bit_depth_takes_the_nearest_of_its_levels(images: torch.Tensor, bits: int) -> None:
    assert torch.equal(BitDepth(bits=bits)(images), Quantize(levels=2**bits)(images))


@pytest.mark.parametrize("defense", [BitDepth(), JPEG(quality=100, subsampling="4:4:4")], ids=repr)
def test_no_value_of_eight_bits_lies_on_a_step(defense: Transformation) -> None:
    """What rounding is for: the last bit of such a value, which differs between machines, decides nothing."""
    values = torch.arange(256).div(255).view(-1, 1, 1, 1)
    for nudge in (-1e-6, 1e-6):
        assert torch.equal(defense(values + nudge), defense(values))


@pytest.mark.parametrize("levels", [2, 7, 256])
def test_quantization_takes_the_nearest_of_its_levels(images: torch.Tensor, levels: int) -> None:
    values = torch.linspace(0, 1, levels)
    nearest = values[(images.clamp(0, 1).unsqueeze(-1) - values).abs().argmin(-1)]
    assert torch.allclose(Quantize(levels=levels)(images), nearest, atol=1e-6)


def test_a_chain_applies_the_first_first(images: torch.Tensor) -> None:
    chain = Chain([Quantize(levels=4), JPEG(quality=30)])
    assert torch.equal(chain(images), JPEG(quality=30)(Quantize(levels=4)(images)))


@pytest.mark.parametrize("defense", DEFENSES, ids=repr)
def test_images_of_a_batch_do_not_mix(defense: Transformation, images: torch.Tensor) -> None:
    transformed = defense(images)
    assert transformed.shape == images.shape
    assert transformed.dtype == images.dtype
    for index in range(len(images)):
        assert torch.equal(defense(images[index : index + 1])[0], transformed[index])


@pytest.mark.parametrize("defense", DEFENSES, ids=repr)
def test_with_bpda_a_linear_network_keeps_its_gradient(defense: Transformation, images: torch.Tensor) -> None:
    linear = nn.Linear(3 * 24 * 40, 4)
    network = Defended(nn.Sequential(nn.Flatten(), linear), defense)
    norms = gradient_norms(network, images, 2, [0, 1, 3], list(Norm))
    weight = linear.weight.detach()
    for column, target in enumerate([0, 1, 3]):
        row = (weight[2] - weight[target]).unsqueeze(0)
        for q, norm in enumerate(Norm):
            assert torch.allclose(norms[:, column, q], norm.of(row), rtol=1e-6)


@pytest.mark.parametrize("defense", DEFENSES[1:], ids=repr)
def test_without_bpda_a_staircase_has_no_gradient(defense: Transformation, images: torch.Tensor) -> None:
    network = Defended(nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 40, 4)), defense, bpda=False)
    assert float(gradient_norms(network, images, 0, [1], [Norm.L1]).max()) == 0


def test_bpda_takes_the_gradient_at_the_transformed_image(images: torch.Tensor) -> None:
    bent = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 40, 8), nn.Tanh(), nn.Linear(8, 3))
    for defense in DEFENSES:
        through = gradient_norms(Defended(bent, defense), images, 0, [1, 2], list(Norm))
        assert torch.equal(through, gradient_norms(bent, defense(images.clamp(0, 1)), 0, [1, 2], list(Norm)))


def test_chains_of_bpda_and_bpda_of_a_chain_agree(images: torch.Tensor) -> None:
    bent = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 40, 8), nn.Tanh(), nn.Linear(8, 3))
    first, second = BitDepth(bits=4), JPEG(quality=40)
    separate = nn.Sequential(BPDA(first), BPDA(second), bent)
    together = Defended(bent, Chain([first, second]))
    expected = gradient_norms(together, images, 0, [1], list(Norm))
    assert torch.equal(gradient_norms(separate, images, 0, [1], list(Norm)), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JPEG(quality=0), "quality of JPEG is 0: it must be a whole number from 1 to 100"),
        (lambda: JPEG(quality=75.5), "quality of JPEG is 75.5"),
        (lambda: JPEG(subsampling="4:1:1"), "one of 4:4:4, 4:2:2, 4:2:0"),
        (lambda: JPEG(to_uint8="up"), "one of truncate, round"),
        (lambda: BitDepth(bits=9), "from 1 to 8"),
        (lambda: BitDepth(rounding="floor"), "one of truncate, round"),
        (lambda: Quantize(levels=1), "from 2 to 256"),
        (lambda: Chain([]), "must not be empty"),
        (lambda: JPEG()(torch.rand(1, 4, 8, 8)), "1 or 3 channels, not 4"),
    ],
)
def test_wrong_parameters_are_named(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("defense", ["bit_depth", "jpeg", "chain"])
def test_one_setting_says_how_all_defenses_of_the_configuration_round(defense: str) -> None:
    for chosen, preset in (("round", "paper"), ("truncate", "reference_code")):
        text = repr(build_defense(composed(f"defense={defense}", f"preset={preset}")))
        assert set(re.findall(r"(?:rounding|to_uint8)=\W*(?:<Rounding.\w+: ')?(\w+)", text)) == {chosen}, text
