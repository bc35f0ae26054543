"""Image quilting: the image is reassembled from patches of other images."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Self

import torch
from jaxtyping import Float
from numpy.random import default_rng
from torch import Tensor

from clever._internal.checks import require_int
from clever._internal.types import Images
from clever.defenses.random import Seeded
from clever.defenses.seams import join
from clever.errors import InputError

DISTANCES = 2**24
"""The most distances between patches of images and of the bank that are computed at once."""
SHORTLIST = 16
"""Candidates per neighbour from a fast distance with rounding errors; the exact distance chooses among them."""


@dataclass(frozen=True, eq=False)
class PatchBank:
    """Square patches (patch, channel, size, size) to quilt with, in [0,1] pixel space.

    Its repr identifies the patches by a hash. `InputError` for an empty bank.
    """

    patches: Float[Tensor, "patch channel size size"] = field(repr=False)

    def __post_init__(self) -> None:
        shape = tuple(self.patches.shape) if isinstance(self.patches, Tensor) else type(self.patches).__name__
        if not isinstance(self.patches, Tensor) or self.patches.ndim != 4 or shape[2] != shape[3] or 0 in shape:
            raise InputError(
                f"a patch bank of {shape}: it must be (patch, channel, size, size) with at least one patch"
            )

    @classmethod
    def of(cls, images: Images, size: int, count: int, seed: int) -> Self:
        """``count`` random patches of the images, of ``size`` x ``size`` pixels; all patches if there are fewer.

        `InputError` without images, and for patches larger than the images.

            clever.Quilting(clever.PatchBank.of(training_images, size=5, count=100_000, seed=0))
        """
        require_int("the size of patches", size, 1)
        require_int("the number of patches", count, 1)
        if images.ndim != 4 or not len(images):
            raise InputError("a patch bank of no images: give training images (batch, channel, height, width)")
        _check_size(size, images)
        rows, columns = (length - size + 1 for length in images.shape[2:])
        total = len(images) * rows * columns
        chosen = torch.from_numpy(default_rng(seed).choice(total, min(count, total), replace=False))
        image, position = chosen // (rows * columns), chosen % (rows * columns)
        windows = images.unfold(2, size, 1).unfold(3, size, 1)
        return cls(windows[image, :, position // columns, position % columns].contiguous())

    @property
    def size(self) -> int:
        """The side of a patch, in pixels."""
        return self.patches.shape[2]

    def __repr__(self) -> str:
        digest = hashlib.sha256(self.patches.double().cpu().contiguous().numpy().tobytes()).hexdigest()
        return f"PatchBank({' x '.join(map(str, self.patches.shape))}, sha256={digest})"

    def nearest(
        self, patches: Float[Tensor, "patch number"], neighbours: int
    ) -> Float[Tensor, "patch neighbour number"]:
        """The nearest patches of the bank in L2 for each flattened patch, nearest first."""
        bank = self.patches.flatten(1).to(patches)
        squares, count = bank.square().sum(1), min(len(bank), SHORTLIST * neighbours)
        nearest = []
        for chunk in patches.split(max(1, DISTANCES // len(bank))):
            candidates = bank[(squares - 2 * chunk @ bank.T).topk(count, largest=False).indices]
            exact = (candidates - chunk.unsqueeze(1)).square().sum(2).topk(neighbours, largest=False).indices
            nearest.append(candidates.gather(1, exact.unsqueeze(2).expand(-1, -1, bank.shape[1])))
        return torch.cat(nearest)


@dataclass(frozen=True)
class Quilting(Seeded):
    """Every patch of the image is replaced by one of its nearest patches in a bank; seams have minimum error.

    Guo et al. 2018, after Efros and Freeman 2001: patches lie on a grid and overlap by at least ``overlap`` pixels.
    Each is replaced by one of its ``neighbours`` nearest patches in L2, drawn uniformly (``neighbours=1``, as in the
    paper, is deterministic). Patches are joined into rows, and rows into the image, along the cheapest seam between
    each pair; in the paper each patch is cut against all previous ones. The result is a staircase: its true derivative
    is zero. A bank with all patches of an image reproduces the image. `InputError` without a bank, for images smaller
    than a patch, and for images whose number of channels is not that of the patches.
    """

    bank: PatchBank
    overlap: int = 2
    neighbours: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.bank, PatchBank):
            raise InputError(f"quilting needs a clever.PatchBank (see PatchBank.of), not {self.bank!r}")
        require_int("the overlap of patches", self.overlap, 1, self.bank.size - 1)
        require_int("the number of nearest patches", self.neighbours, 1, len(self.bank.patches))

    def drawn(self, index: int) -> Self:
        """Draw ``index``; with one neighbour nothing is random and this is the transformation itself."""
        return self if self.neighbours == 1 else super().drawn(index)

    def __call__(self, images: Images) -> Images:
        channels, size = self.bank.patches.shape[1], self.bank.size
        if channels != images.shape[1]:
            raise InputError(
                f"patches of {channels} channels for images of {images.shape[1]} channels: the numbers must be equal"
            )
        _check_size(size, images)
        rows, columns = (self._starts(length) for length in images.shape[2:])
        strips = join(self._patches(images.detach(), rows, columns).unbind(2), columns)
        quilt: Tensor = join(strips.mT.unbind(1), rows).mT
        return quilt + 0 * images  # gives autograd a derivative of zero

    def _patches(self, images: Images, rows: list[int], columns: list[int]) -> Float[Tensor, "batch row column ..."]:
        """The patches of the bank that replace the image's own."""
        windows = images.unfold(2, self.bank.size, 1).unfold(3, self.bank.size, 1)
        own = windows[:, :, rows][:, :, :, columns].permute(0, 2, 3, 1, 4, 5)
        near: Tensor = self.bank.nearest(own.flatten(0, 2).flatten(1), self.neighbours).unflatten(0, own.shape[:3])
        choice = torch.randint(self.neighbours, own.shape[1:3], generator=self.generator(images)).to(images.device)
        index = choice.view(1, len(rows), len(columns), 1, 1).expand(len(images), -1, -1, -1, near.shape[-1])
        return near.gather(3, index).reshape(own.shape)

    def _starts(self, length: int) -> list[int]:
        """The first pixels of the fewest evenly spaced patches that cover the length with the overlap."""
        last = length - self.bank.size
        count = 1 + math.ceil(last / (self.bank.size - self.overlap))
        return [round(index * last / max(1, count - 1)) for index in range(count)]


def _check_size(size: int, images: Images) -> None:
    if size > min(images.shape[2:]):
        raise InputError(
            f"patches of {size} x {size} pixels are larger than images of {images.shape[2]} x {images.shape[3]}"
        )
