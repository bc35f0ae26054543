"""Converts images to the size and channels of the network's input; images that already match stay unchanged."""

import numpy as np
from PIL import Image

from clever._internal.checks import require_int
from clever.errors import InputError
from pipeline.prepare.preprocess import PREPROCESSINGS, whole_image
from pipeline.prepare.source import MOST_PIXELS, Pixels

CHANNELS = (1, 3)


class Square:
    """Converts an image to 8-bit pixels of ``size`` x ``size``.

    An image of this size is used unchanged, whatever ``resize`` is. ``resize``, for other sizes: False rejects them,
    True scales the short side to the size and crops the centre; "standard" and "reference_code" work as for ImageNet.
    ``channels``: 3, which converts grey to RGB, or 1, for grey images only.
    """

    def __init__(self, *, size: int, channels: int, resize: bool | str) -> None:
        require_int("data.size", size, 1, MOST_PIXELS)
        if isinstance(channels, bool) or channels not in CHANNELS:
            raise InputError(f"data.channels is {channels!r}: it must be 3 (RGB) or 1 (grey)")
        if not isinstance(resize, bool) and resize not in PREPROCESSINGS:
            raise InputError(f"data.resize is {resize!r}: it must be true, false, {' or '.join(PREPROCESSINGS)}")
        self.size, self.channels, self.resize = size, channels, resize

    def pixels(self, image: Image.Image, source: str) -> Pixels:
        """The pixels (channel, size, size); `InputError` names the image by ``source``."""
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        if rgb.size == (self.size, self.size):
            pixels = np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))
        elif self.resize is False:
            width, height = rgb.size
            as_it_is = f"data.size={width} keeps it unchanged" if width == height else "data.size must be the network's"
            raise InputError(
                f"{source} has {width} x {height} pixels, but data.size is {self.size}: {as_it_is}, or "
                f"data.resize=true scales it to {self.size} x {self.size}"
            )
        else:
            chosen = whole_image if self.resize is True else PREPROCESSINGS[self.resize]
            pixels = chosen(rgb, self.size)
        if self.channels == 3:
            return pixels
        if not (pixels == pixels[:1]).all():
            raise InputError(f"{source} is in colour, but data.channels is 1: data.channels=3 accepts colour and grey")
        return pixels[:1]
