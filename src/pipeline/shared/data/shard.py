"""Distribution of the images over jobs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clever._internal.checks import require_int


@dataclass(frozen=True)
class Shard:
    """Shard ``index`` (from 0) of ``count``; images are assigned in turn. `InputError` if out of range."""

    index: int
    count: int

    def __post_init__(self) -> None:
        require_int("shards", self.count, 1)
        require_int("shard", self.index, 0, self.count - 1)

    def rows(self, n_images: int, together: int = 1) -> NDArray[np.int64]:
        """Rows of this shard among ``n_images`` images; blocks of ``together`` consecutive rows stay in one shard."""
        rows = np.arange(n_images)
        own: NDArray[np.int64] = rows[rows // together % self.count == self.index]
        return own
