"""Image quilting: the image put together anew from patches of other images."""

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
from clever.defenses.seams import joined
from clever.errors import InputError

DISTANCES = 2**24
"""Between patches of the image and of the bank, computed at once."""
SHORTLIST = 16
"""Candidates a neighbour by a fast distance, whose rounding can err; the exact one decides between them."""


@dataclass(frozen=True, eq=False)
class PatchBank:
    """Square patches (patch, channel, size, size) to quilt with, in [0,1] pixel space.

    Its repr tells banks apart. `InputError` for an empty one.
    """

    patches: Float[Tensor, "patch channel size size"] = field(repr=False)

    def __post_init__(self) -> None:
        shape = tuple(self.patches.shape) if isinstance(self.patches, Tensor) else type(self.patches).__name__
        if not isinstance(self.patches, Tensor) or self.patches.ndim != 4 or shape[2] != shape[3] or 0 in shape:
            raise InputError(f"a patch bank of {shape}: it must be (patch, channel, size, size), one patch at least")

    @classmethod
    def of(cls, images: Images, size: int, count: int, seed: int) -> Self:
        """``count`` of the images' patches of ``size`` x ``size`` pixels, at random; all, where there are fewer."""
        require_int("the size of patches", size, 1)
        require_int("the number of patches", count, 1)
        if images.ndim != 4 or not len(images):
            raise InputError("no patch bank without images: there must be training images to take patches from")
        _check_size(size, images)
        rows, columns = (length - size + 1 for length in images.shape[2:])
        every = len(images) * rows * columns
        chosen = torch.from_numpy(default_rng(seed).choice(every, min(count, every), replace=False))
        image, place = chosen // (rows * columns), chosen % (rows * columns)
        windows = images.unfold(2, size, 1).unfold(3, size, 1)
        return cls(windows[image, :, place // columns, place % columns].contiguous())

    @property
    def size(self) -> int:
        """Of a side, in pixels."""
        return self.patches.shape[2]

    def __repr__(self) -> str:
        digest = hashlib.sha256(self.patches.double().cpu().contiguous().numpy().tobytes()).hexdigest()
        return f"PatchBank({' x '.join(map(str, self.patches.shape))}, sha256={digest})"

    def nearest(
        self, patches: Float[Tensor, "patch number"], neighbours: int
    ) -> Float[Tensor, "patch neighbour number"]:
        """The nearest patches of the bank in L2, the nearest first, for flattened ones."""
        bank = self.patches.flatten(1).to(patches)
        squares, short = bank.square().sum(1), min(len(bank), SHORTLIST * neighbours)
        found = []
        for some in patches.split(max(1, DISTANCES // len(bank))):
            candidates = bank[(squares - 2 * some @ bank.T).topk(short, largest=False).indices]
            exact = (candidates - some.unsqueeze(1)).square().sum(2).topk(neighbours, largest=False).indices
            found.append(candidates.gather(1, exact.unsqueeze(2).expand(-1, -1, bank.shape[1])))
        return torch.cat(found)


@dataclass(frozen=True)
class Quilting(Seeded):
    """Every patch of the image replaced by one of its nearest in a bank, joined along minimum-error boundaries.

    Guo et al. 2018, after Efros and Freeman 2001: patches on a grid with at least ``overlap`` pixels in common, each
    replaced by one of its ``neighbours`` nearest in L2, drawn uniformly (with 1, theirs, nothing is random). Patches
    are joined to rows and rows to the image, each by the cheapest boundary between the two; theirs is the cheapest one
    of each patch with all before it. A staircase: the true derivative is zero. A bank with all patches of an image
    gives it back as it is. `InputError` without a bank, and for images smaller than a patch or of other channels.
    """

    bank: PatchBank
    overlap: int = 2
    neighbours: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.bank, PatchBank):
            raise InputError(f"quilting needs a clever.PatchBank, as PatchBank.of makes one, not {self.bank!r}")
        require_int("the overlap of patches", self.overlap, 1, self.bank.size - 1)
        require_int("the number of nearest patches", self.neighbours, 1, len(self.bank.patches))

    def drawn(self, index: int) -> Self:
        """Itself, where only the nearest patch is taken."""
        return self if self.neighbours == 1 else super().drawn(index)

    def __call__(self, images: Images) -> Images:
        channels, size = self.bank.patches.shape[1], self.bank.size
        if channels != images.shape[1]:
            raise InputError(f"patches of {channels} channels for images of {images.shape[1]}")
        _check_size(size, images)
        rows, columns = (self._starts(length) for length in images.shape[2:])
        strips = joined(self._patches(images.detach(), rows, columns).unbind(2), columns)
        quilt: Tensor = joined(strips.mT.unbind(1), rows).mT
        return quilt + 0 * images  # says to autograd that the derivative is zero

    def _patches(self, images: Images, rows: list[int], columns: list[int]) -> Float[Tensor, "batch row column ..."]:
        """Those of the bank in the places of the image's own."""
        windows = images.unfold(2, self.bank.size, 1).unfold(3, self.bank.size, 1)
        own = windows[:, :, rows][:, :, :, columns].permute(0, 2, 3, 1, 4, 5)
        near: Tensor = self.bank.nearest(own.flatten(0, 2).flatten(1), self.neighbours).unflatten(0, own.shape[:3])
        choice = torch.randint(self.neighbours, own.shape[1:3], generator=self.generator(images)).to(images.device)
        places = choice.view(1, len(rows), len(columns), 1, 1).expand(len(images), -1, -1, -1, near.shape[-1])
        return near.gather(3, places).reshape(own.shape)

    def _starts(self, length: int) -> list[int]:
        """The first pixels of as few patches as cover the length with the overlap, evenly spread."""
        last = length - self.bank.size
        count = 1 + math.ceil(last / (self.bank.size - self.overlap))
        return [round(index * last / max(1, count - 1)) for index in range(count)]


def _check_size(size: int, images: Images) -> None:
    if size > min(images.shape[2:]):
        raise InputError(
            f"patches of {size} x {size} pixels are larger than images of {images.shape[2]} x {images.shape[3]}"
        )
