"""Any file becomes the pixels that torchvision, or the authors' code, would make of it, or is named as broken."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from clever.errors import InputError
from pipeline.prepare import preprocess
from pipeline.prepare.preprocess import BrokenImage, decode, preprocessing, reference_code, standard


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def noise(width: int, height: int, low: int = 0, high: int = 256) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(low, high, (height, width, 3), dtype=np.uint8))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and then ends where its pixels would begin."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">II", zlib.crc32(chunk), 99) + b"IDAT"


def torchvision_preset(image: Image.Image, size: int) -> np.ndarray:
    preset = ImageClassification(
        crop_size=size, resize_size=round(256 * size / 224), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    return (preset(image) * 255).round().to(torch.uint8).numpy()


RED, GREY = (255, 0, 0), (200, 200, 200)
PALETTE = Image.new("RGB", (16, 16), RED).quantize(4)
SIXTEEN = Image.fromarray(np.full((16, 16), 200 * 257, dtype=np.uint16))
TURNED = Image.Exif()
TURNED[0x0112] = 6

COLOURS = {
    "grey jpeg": (encoded(Image.new("L", (16, 16), 200), "JPEG"), GREY),
    "cmyk jpeg, inverted as Adobe does": (encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), RED),
    "palette": (encoded(PALETTE, "PNG"), RED),
    "palette with alpha": (encoded(PALETTE, "PNG", transparency=b"\x80\x40"), RED),
    "alpha": (encoded(Image.new("RGBA", (16, 16), (*RED, 7)), "PNG"), RED),
    "grey with alpha": (encoded(Image.new("LA", (16, 16), (200, 7)), "PNG"), GREY),
    "16 bits, png": (encoded(SIXTEEN, "PNG"), GREY),
    "16 bits, tiff": (encoded(SIXTEEN, "TIFF"), GREY),
    "1 bit": (encoded(Image.new("1", (16, 16), 1), "PNG"), (255, 255, 255)),
    "gif": (encoded(PALETTE, "GIF"), RED),
    "webp": (encoded(Image.new("RGB", (16, 16), RED), "WEBP", lossless=True), RED),
}


@pytest.mark.parametrize(("data", "colour"), COLOURS.values(), ids=COLOURS)
def test_every_kind_of_pixel_becomes_rgb(data: bytes, colour: tuple[int, int, int]) -> None:
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", (16, 16))
    assert np.abs(np.asarray(image).astype(int) - colour).max() <= 2


def test_orientation_is_left_alone() -> None:
    assert decode(encoded(noise(20, 10), "JPEG", exif=TURNED)).size == (20, 10)


PHOTO = encoded(noise(64, 64), "JPEG")
BROKEN = {
    "empty": (b"", "empty file"),
    "text": (b"<html>404</html>", "none of the formats JPEG, PNG"),
    "header only": (PHOTO[:100], "."),
    "cut short": (PHOTO[: len(PHOTO) // 2], "truncated"),
    "png cut short": (encoded(noise(64, 64), "PNG")[:500], "truncated"),
    "an external program's format": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "none of the",
    ),
    "no white": (encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "mode F have no defined white"),
    "bomb": (png_header(20_000, 20_000), "400000000 pixels"),
    "long bomb": (png_header(2**31 - 1, 1), "2147483647 pixels"),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_has_a_reason_that_never_changes(data: bytes, reason: str) -> None:
    reasons = []
    for _ in range(2):
        with pytest.raises(BrokenImage, match=reason) as caught:
            decode(data)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]
    assert "0x" not in reasons[0]


def test_the_bound_on_pixels_is_ours_whatever_pillow_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(BrokenImage, match="15000 x 12000 pixels, more than 178000000"):
        decode(png_header(15_000, 12_000))


def test_large_but_not_too_large_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 63)
    assert decode(PHOTO).size == (64, 64)


def test_out_of_memory_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(preprocess, "_decode", fail)
    with pytest.raises(MemoryError):
        decode(PHOTO)


SHAPES = [(500, 375), (375, 500), (333, 501), (224, 224), (256, 256), (257, 300), (31, 17), (1, 1), (1, 16), (900, 60)]


@pytest.mark.parametrize("size", [32, 224, 299])
@pytest.mark.parametrize("shape", SHAPES)
def test_standard_is_torchvisions_preset(shape: tuple[int, int], size: int) -> None:
    image = noise(*shape)
    pixels = standard(image, size)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, torchvision_preset(image, size))


def test_standard_is_torchvisions_preset_on_photographs(sample: Path) -> None:
    for file in sorted(sample.glob("val/*/*.JPEG"))[:20]:
        theirs = torchvision_preset(Image.open(file).convert("RGB"), 224)
        assert np.array_equal(standard(decode(file.read_bytes()), 224), theirs), file.name


@pytest.mark.parametrize(
    ("shape", "resized", "left", "top"),
    [
        ((448, 600), (224, 300), 0, 38),
        ((601, 448), (300, 224), 38, 0),
        ((299, 224), (299, 224), 37, 0),  # 149 - 112, where torchvision takes 38
        ((55, 55), (224, 224), 0, 0),  # 55 * (224 / 55) falls short of 224
    ],
)
def test_reference_code_resizes_to_the_size_itself(
    shape: tuple[int, int], resized: tuple[int, int], left: int, top: int
) -> None:
    image = noise(*shape)
    whole = np.asarray(image.resize(resized, Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(reference_code(image, 224), whole[:, top : top + 224, left : left + 224])


@pytest.mark.parametrize("name", preprocess.PREPROCESSINGS)
@pytest.mark.parametrize("shape", [(7, 400), (400, 7), (1, 300), (301, 2)])
def test_a_long_image_loses_nothing_but_rounding(
    name: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(*shape, low=96, high=160)  # far from black and white, where Lanczos would be clipped
    bounded = preprocessing(name, 64)(image).astype(int)
    monkeypatch.setattr(preprocess, "MAX_ELONGATION", 10**6)
    assert np.abs(preprocessing(name, 64)(image) - bounded).max() <= 1


@pytest.mark.parametrize("name", preprocess.PREPROCESSINGS)
@pytest.mark.parametrize("shape", [(1, 5000), (60_000, 1), (3, 40_000)])
def test_a_long_image_takes_bounded_memory(name: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    resize = Image.Image.resize

    def small_only(image: Image.Image, size: tuple[int, int], *rest: object, **named: object) -> Image.Image:
        assert size[0] * size[1] <= 16 * 256**2, "more pixels than the longest image that is resized whole"
        return resize(image, size, *rest, **named)

    monkeypatch.setattr(Image.Image, "resize", small_only)
    pixels = preprocessing(name, 224)(Image.new("RGB", shape, RED))
    assert pixels.shape == (3, 224, 224)
    assert np.array_equal(np.unique(pixels.reshape(3, -1), axis=1)[:, 0], RED)


def test_bad_preprocessings() -> None:
    with pytest.raises(InputError, match="'lanczos': it must be one of standard, reference_code"):
        preprocessing("lanczos", 224)
    with pytest.raises(InputError, match="size is 0: it must be a whole number from 1 to 4096"):
        preprocessing("standard", 0)
