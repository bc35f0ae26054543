"""JPEG by libjpeg itself, through Pillow, on the CPU."""

import functools
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import Image, features

from clever.defenses.jpeg.blocks import Levels

BUILD = f"Pillow {PIL.__version__}, libjpeg {features.version('libjpeg_turbo') or features.version('jpg')}"
"""The version of the codec."""

Pixels = NDArray[np.uint8]


def compress(levels: Levels, quality: int, subsampling: str) -> Levels:
    """The 8-bit levels read back from files in memory, on the device and in the dtype of ``levels``.

    Runs in as many threads as torch uses; the codec releases the interpreter's lock.
    """
    pixels = levels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    write_and_read = functools.partial(_images, quality=quality, subsampling=subsampling)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        decoded = np.concatenate(list(pool.map(write_and_read, np.array_split(pixels, threads))))
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).to(levels).contiguous()


def _images(pixels: Pixels, quality: int, subsampling: str) -> Pixels:
    return np.stack([_image(image, quality, subsampling) for image in pixels]) if len(pixels) else pixels


def _image(pixels: Pixels, quality: int, subsampling: str) -> Pixels:
    file = io.BytesIO()
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file)).reshape(pixels.shape)
