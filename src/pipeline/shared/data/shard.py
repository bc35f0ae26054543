"""Which of the images are one job's, where several share them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clever._internal.checks import require_int


@dataclass(frozen=True)
class Shard:
    """Number ``index`` (from 0) of ``count`` parts of the images, dealt out in turn. `InputError` for what is none."""

    index: int
    count: int

    def __post_init__(self) -> None:
        require_int("shards", self.count, 1)
        require_int("shard", self.index, 0, self.count - 1)

    def rows(self, n_images: int, together: int = 1) -> NDArray[np.int64]:
        """The places of its images among ``n_images``; of each ``together`` in a row one shard has all."""
        rows = np.arange(n_images)
        mine: NDArray[np.int64] = rows[rows // together % self.count == self.index]
        return mine
