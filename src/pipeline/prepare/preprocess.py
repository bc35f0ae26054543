"""From the bytes of an image file to the square of 8-bit pixels that a network sees."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from PIL.Image import Resampling

from clever._internal.checks import require_int
from clever.errors import InputError
from pipeline.prepare.source import MOST_PIXELS

Pixels = UInt8[np.ndarray, "3 size size"]

#: Named, because some of Pillow's other formats start external programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
#: Larger images are refused unread: decoding takes up to 16 bytes a pixel (measured: WEBP and PNG), so 2.8 GB at most.
MAX_PIXELS = 178_000_000
#: Up to this aspect ratio an image is resized whole, as others do it, so that the pixels are exactly theirs.
MAX_ELONGATION = 16


class BrokenImage(Exception):
    """The file holds no image that can be used; the message says why, the same on every run."""


def decode(data: bytes) -> Image.Image:
    """The image as RGB, from its content whatever its name; anything wrong with it is a `BrokenImage`.

    As in torchvision, alpha is dropped, CMYK is read as Adobe writes it and an EXIF orientation is left alone. Of 16
    bits the upper 8 remain.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decode(data)
        except UnidentifiedImageError:
            what = f"none of the formats {', '.join(FORMATS)}" if data else "an empty file"
            raise BrokenImage(what) from None
        except (BrokenImage, MemoryError):
            raise
        except Exception as error:  # a damaged file makes a decoder raise nearly anything
            raise BrokenImage(f"{type(error).__name__}: {error}") from error


def _decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise BrokenImage(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS}")
    if image.format == "TIFF" and not _covered(image):
        raise BrokenImage(f"its strips or tiles do not make {image.width} x {image.height} pixels")
    image.load()
    if image.format == "PPM" and image.mode == "I":  # two bytes a channel, and nothing else
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise BrokenImage(f"pixels of mode {image.mode} have no defined white; valid are 8 or 16 bits a channel")
    return image if image.mode == "RGB" else image.convert("RGB")


def _covered(image: Image.Image) -> bool:
    """Whether the parts that a TIFF lists are as many pixels as it claims; the rest would come out black."""
    boxes = {tuple(extents) for _, extents, *_ in getattr(image, "tile", [])}
    covered = sum((right - left) * (lower - upper) for left, upper, right, lower in boxes)
    return bool(covered >= image.width * image.height)


def standard(image: Image.Image, size: int) -> Pixels:
    """Torchvision's preset, to the last bit: short side to 256/224 of the size, bilinear, then the centre."""
    short = round(size * 256 / 224)
    width, height = (short * side // min(image.size) for side in image.size)
    corner = (round((width - size) / 2), round((height - size) / 2))
    return _resize_and_crop(image, (width, height), corner, size, Resampling.BILINEAR)


def reference_code(image: Image.Image, size: int) -> Pixels:
    """As the authors' code: short side to the size itself, Lanczos, then the centre.

    Their arithmetic is kept, but where its rounding would make the long side one pixel shorter than the short one, no
    black line is added.
    """
    ratio = size / min(image.size)
    width, height = (max(size, int(side * ratio)) for side in image.size)
    corner = (width // 2 - size // 2, height // 2 - size // 2)
    return _resize_and_crop(image, (width, height), corner, size, Resampling.LANCZOS)


def whole_image(image: Image.Image, size: int) -> Pixels:
    """Short side to the size itself, bilinear, then the centre: of a square image nothing is lost."""
    width, height = (max(size, round(side * size / min(image.size))) for side in image.size)
    corner = ((width - size) // 2, (height - size) // 2)
    return _resize_and_crop(image, (width, height), corner, size, Resampling.BILINEAR)


PREPROCESSINGS: dict[str, Callable[[Image.Image, int], Pixels]] = {
    "standard": standard,
    "reference_code": reference_code,
}


def preprocessing(name: str, size: int) -> Callable[[Image.Image], Pixels]:
    """The preprocessing of that name, to a square of that size."""
    if name not in PREPROCESSINGS:
        raise InputError(f"unknown preprocessing {name!r}; valid are {', '.join(PREPROCESSINGS)}")
    require_int("data.size", size, 1, MOST_PIXELS)
    chosen = PREPROCESSINGS[name]
    return lambda image: chosen(image, size)


def _resize_and_crop(
    image: Image.Image, resized: tuple[int, int], corner: tuple[int, int], size: int, resampling: Resampling
) -> Pixels:
    """The square of that size at that corner of the resized image, in memory bounded by the image's own.

    Of a very long image only the part that the crop keeps is resized, since the whole could take any amount of memory;
    the filter still sees the neighbours of that part, so this changes a pixel only by rounding, and by the order of
    clipping where Lanczos overshoots black or white.
    """
    if max(image.size) <= MAX_ELONGATION * min(image.size):
        x, y = corner
        square = image.resize(resized, resampling).crop((x, y, x + size, y + size))
    else:
        (left, right), (top, bottom) = (
            (start * old / new, (start + size) * old / new)
            for start, old, new in zip(corner, image.size, resized, strict=True)
        )
        square = image.resize((size, size), resampling, box=(left, top, right, bottom))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
