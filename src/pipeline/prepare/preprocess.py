"""Converts the bytes of an image file to the square of 8-bit pixels that a network classifies."""

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

#: The only formats read, because some of Pillow's others start external programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
#: Larger images are not decoded, which takes up to 16 bytes per pixel (measured: WEBP and PNG), so 2.8 GB at most.
MAX_PIXELS = 178_000_000
#: Up to this aspect ratio the whole image is resized, as in other code, so that the pixels are exactly equal.
MAX_ELONGATION = 16


class BrokenImage(Exception):
    """The file contains no usable image; the message gives the reason and is the same in every run."""


def decode(data: bytes) -> Image.Image:
    """The image as RGB; the format is recognised by content, not by file name. `BrokenImage` for any defect.

    As in torchvision, alpha is dropped, CMYK is read as Adobe writes it and the EXIF orientation is ignored. Of 16
    bits, the upper 8 are used.
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
        raise BrokenImage(f"its strips or tiles do not cover {image.width} x {image.height} pixels")
    image.load()
    if image.format == "PPM" and image.mode == "I":  # always two bytes per channel
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise BrokenImage(f"pixels of mode {image.mode} have no defined white; use 8 or 16 bits per channel")
    return image if image.mode == "RGB" else image.convert("RGB")


def _covered(image: Image.Image) -> bool:
    """Whether the parts listed in a TIFF cover its declared size; pixels outside them would be black."""
    boxes = {tuple(extents) for _, extents, *_ in getattr(image, "tile", [])}
    covered = sum((right - left) * (lower - upper) for left, upper, right, lower in boxes)
    return bool(covered >= image.width * image.height)


def standard(image: Image.Image, size: int) -> Pixels:
    """Torchvision's preset, bit for bit: resizes the short side to 256/224 of the size (bilinear), crops the centre."""
    short = round(size * 256 / 224)
    width, height = (short * side // min(image.size) for side in image.size)
    corner = (round((width - size) / 2), round((height - size) / 2))
    return _resize_and_crop(image, (width, height), corner, size, Resampling.BILINEAR)


def reference_code(image: Image.Image, size: int) -> Pixels:
    """As in the authors' code: resizes the short side to the size itself (Lanczos), then crops the centre.

    The arithmetic is theirs, except that no black line is added where their rounding would make the long side one pixel
    shorter than the short side.
    """
    ratio = size / min(image.size)
    width, height = (max(size, int(side * ratio)) for side in image.size)
    corner = (width // 2 - size // 2, height // 2 - size // 2)
    return _resize_and_crop(image, (width, height), corner, size, Resampling.LANCZOS)


def whole_image(image: Image.Image, size: int) -> Pixels:
    """Resizes the short side to the size itself (bilinear), then crops the centre; a square image loses no pixels."""
    width, height = (max(size, round(side * size / min(image.size))) for side in image.size)
    corner = ((width - size) // 2, (height - size) // 2)
    return _resize_and_crop(image, (width, height), corner, size, Resampling.BILINEAR)


PREPROCESSINGS: dict[str, Callable[[Image.Image, int], Pixels]] = {
    "standard": standard,
    "reference_code": reference_code,
}


def preprocessing(name: str, size: int) -> Callable[[Image.Image], Pixels]:
    """The preprocessing of this name to a square of this size."""
    if name not in PREPROCESSINGS:
        raise InputError(f"data.preprocessing is {name!r}: it must be one of {', '.join(PREPROCESSINGS)}")
    require_int("data.size", size, 1, MOST_PIXELS)
    chosen = PREPROCESSINGS[name]
    return lambda image: chosen(image, size)


def _resize_and_crop(
    image: Image.Image, resized: tuple[int, int], corner: tuple[int, int], size: int, resampling: Resampling
) -> Pixels:
    """The square of this size at this corner of the resized image, in memory bounded by that of the image.

    Of a very long image only the part inside the crop is resized, since the whole could need any amount of memory. The
    filter still uses the neighbours of that part, so pixels change only by rounding, and by the order of clipping where
    Lanczos overshoots black or white.
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
