"""Images as people have them, made into one tensor: arrays, data loaders, data sets, pictures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from clever.errors import InputError

Images = Tensor | NDArray[Any] | DataLoader[Any] | Dataset[Any] | Iterable[Any]
"""A batch (N,C,H,W) or one image (C,H,W), as a tensor or array; a loader of batches; a data set or any iterable of
images, each alone or with its label. Numbers are in [0,1], or whole numbers from 0 to 255 of type uint8."""

SHAPE = "images are (N,C,H,W), one image is (C,H,W)"


@dataclass(frozen=True)
class Batch:
    """``images`` on one device and of one type; ``labels`` where they came with the images."""

    images: Float[Tensor, "image channel height width"]
    labels: list[int] | None


def batch_of(images: Images, network: nn.Module, labels: Sequence[int] | None = None) -> Batch:
    """All images in one tensor, of the network's device and floating-point type.

    ``labels``: those of images that come without. uint8 is divided by 255; whether other numbers lie in [0,1] is
    checked where the images are scored. `InputError` for what holds no images, for images of different shapes, for
    numbers that are neither floating-point nor uint8, and for labels given twice.
    """
    parts: list[Tensor] = []
    found: list[int] = []
    for part, label in _parts(images):
        tensor = _tensor(part, len(parts))
        tensor = tensor if tensor.ndim == 4 else tensor.unsqueeze(0)
        if tensor.ndim != 4 or not tensor.numel():
            raise InputError(f"images of shape {tuple(tensor.shape)}: there must be one at least; {SHAPE}")
        if parts and tensor.shape[1:] != parts[0].shape[1:]:
            first, other = tuple(parts[0].shape[1:]), tuple(tensor.shape[1:])
            raise InputError(f"images of shape {first} and {other}: all must have one shape; resize or crop them")
        parts.append(tensor)
        found += [] if label is None else _labels(label, len(tensor))
    if not parts:
        raise InputError(f"{type(images).__name__} holds no image: there must be one at least")
    together = torch.cat(parts) if len(parts) > 1 else parts[0]
    if found and len(found) != len(together):
        raise InputError(f"{len(found)} labels come with {len(together)} images: all must have one, or none")
    if found and labels is not None:
        raise InputError("labels are given twice: the images come with labels, and labels= names others; leave it out")
    told = found or labels
    return Batch(_like(together, network), None if told is None else _labels(told, len(together)))


def _parts(images: Images) -> Iterator[tuple[object, object]]:
    """Batches or single images, each with the labels that come with it, or None."""
    if isinstance(images, Tensor | np.ndarray | Image.Image):
        yield images, None
    elif isinstance(images, Iterable) or hasattr(images, "__getitem__"):
        # A data set of torch's need not raise IndexError at its end, so that it cannot be iterated over.
        sized = isinstance(images, Dataset) and not isinstance(images, IterableDataset)
        items = (images[i] for i in range(len(images))) if sized else images  # type: ignore[arg-type, index]
        for item in items:  # type: ignore[union-attr]
            several = isinstance(item, tuple | list) and 1 <= len(item) <= 2
            yield (item[0], item[1] if len(item) == 2 else None) if several else (item, None)
    else:
        raise InputError(
            f"images are a {type(images).__name__}: they must be a tensor or an array (N,C,H,W), a DataLoader, a "
            "Dataset, or an iterable of images"
        )


def _tensor(part: object, place: int) -> Tensor:
    if isinstance(part, Image.Image):
        pixels = np.array(part)
        if pixels.dtype != np.uint8 or part.mode not in ("L", "RGB"):
            raise InputError(f"picture {place} is of mode {part.mode}: convert('RGB') or convert('L') makes it usable")
        return torch.from_numpy(np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))).float().div(255)
    if isinstance(part, np.ndarray):
        if part.ndim == 4 and part.shape[3] in (1, 3) and part.shape[1] not in (1, 3):
            raise InputError(f"an array of shape {part.shape} has its channels last: {SHAPE}; transpose(0, 3, 1, 2)")
        if part.dtype.kind not in "fu" or (part.dtype.kind == "u" and part.dtype != np.uint8):
            raise InputError(f"images of {part.dtype}: they must be floating-point numbers in [0,1], or uint8")
        part = torch.from_numpy(np.ascontiguousarray(part))
    if not isinstance(part, Tensor):
        raise InputError(f"image {place} is a {type(part).__name__}: it must be a tensor, an array or a PIL image")
    if part.dtype == torch.uint8:
        return part.float().div(255)
    if not part.is_floating_point():
        raise InputError(f"images of {part.dtype}: they must be floating-point numbers in [0,1], or uint8")
    return part.detach()


def _labels(labels: object, count: int) -> list[int]:
    """One whole number for each image."""
    values = np.atleast_1d(labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels))
    if values.dtype.kind not in "iu" or values.shape != (count,):
        raise InputError(
            f"labels of shape {values.shape} and type {values.dtype} for {count} images: there must be one for each, "
            "the number of its class"
        )
    return [int(value) for value in values]


def _like(images: Tensor, network: nn.Module) -> Tensor:
    """On the device of the network's first parameter or buffer, and of its type."""
    for one in (*network.parameters(), *network.buffers()):
        if one.is_floating_point():
            return images.to(one.device, one.dtype)
    return images
