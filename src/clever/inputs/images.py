"""Conversion of arrays, data loaders, data sets and PIL images to one tensor of images."""

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
images, each alone or with its label. Values are floats in [0,1] or uint8."""

SHAPE = "images are (N,C,H,W), one image is (C,H,W)"


@dataclass(frozen=True)
class Batch:
    """Images on one device and of one dtype, with their labels if any."""

    images: Float[Tensor, "image channel height width"]
    labels: list[int] | None


def image_batch(images: Images, network: nn.Module, labels: Sequence[int] | None = None) -> Batch:
    """All images in one tensor, on the network's device and in its floating-point dtype.

    ``labels``: for images that come without labels. uint8 is divided by 255; the range of other values is checked when
    the images are scored. `InputError` if there is no image, for images of different shapes, for values that are
    neither floating-point nor uint8, and for labels given twice.
    """
    parts: list[Tensor] = []
    own_labels: list[int] = []
    for part, label in _parts(images):
        tensor = _tensor(part, len(parts))
        tensor = tensor if tensor.ndim == 4 else tensor.unsqueeze(0)
        if tensor.ndim != 4 or not tensor.numel():
            raise InputError(f"images of shape {tuple(tensor.shape)}: there must be at least one; {SHAPE}")
        if parts and tensor.shape[1:] != parts[0].shape[1:]:
            first, differing = tuple(parts[0].shape[1:]), tuple(tensor.shape[1:])
            raise InputError(f"images of shape {first} and {differing}: all shapes must be equal; resize or crop them")
        parts.append(tensor)
        own_labels += [] if label is None else _labels(label, len(tensor))
    if not parts:
        raise InputError(f"{type(images).__name__} contains no images: there must be at least one")
    together = torch.cat(parts) if len(parts) > 1 else parts[0]
    if own_labels and len(own_labels) != len(together):
        raise InputError(
            f"{len(own_labels)} labels come with {len(together)} images: all images must have a label, or none"
        )
    if own_labels and labels is not None:
        raise InputError("labels are given twice: with the images and as labels=; leave out labels=")
    chosen = own_labels or labels
    return Batch(_like(together, network), None if chosen is None else _labels(chosen, len(together)))


def _parts(images: Images) -> Iterator[tuple[object, object]]:
    """Batches or single images, each with its labels or None."""
    if isinstance(images, Tensor | np.ndarray | Image.Image):
        yield images, None
    elif isinstance(images, Iterable) or hasattr(images, "__getitem__"):
        # A torch data set need not raise IndexError at its end, so iteration over it may not stop.
        sized = isinstance(images, Dataset) and not isinstance(images, IterableDataset)
        items = (images[i] for i in range(len(images))) if sized else images  # type: ignore[arg-type, index]
        for item in items:  # type: ignore[union-attr]
            is_pair = isinstance(item, tuple | list) and 1 <= len(item) <= 2
            yield (item[0], item[1] if len(item) == 2 else None) if is_pair else (item, None)
    else:
        raise InputError(
            f"images is of type {type(images).__name__}: it must be a tensor or an array (N,C,H,W), a DataLoader, a "
            "Dataset, or an iterable of images"
        )


def _tensor(part: object, place: int) -> Tensor:
    if isinstance(part, Image.Image):
        pixels = np.array(part)
        if pixels.dtype != np.uint8 or part.mode not in ("L", "RGB"):
            raise InputError(f"image {place} has mode {part.mode}: use convert('RGB') or convert('L')")
        return torch.from_numpy(np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))).float().div(255)
    if isinstance(part, np.ndarray):
        if part.ndim == 4 and part.shape[3] in (1, 3) and part.shape[1] not in (1, 3):
            raise InputError(
                f"an array of shape {part.shape} has its channels last: {SHAPE}; use transpose(0, 3, 1, 2)"
            )
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
    """One integer for each image; `InputError` for anything else."""
    values = np.atleast_1d(labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels))
    if values.dtype.kind not in "iu" or values.shape != (count,):
        raise InputError(
            f"labels of shape {values.shape} and type {values.dtype} for {count} images: there must be one "
            "class number for each image"
        )
    return [int(value) for value in values]


def _like(images: Tensor, network: nn.Module) -> Tensor:
    """The images on the device and in the dtype of the network's first floating-point parameter or buffer."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            return images.to(tensor.device, tensor.dtype)
    return images
