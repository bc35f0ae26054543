"""The result of `clever.attack`: a sequence of adversarial distances with export to tables, JSON and plots."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from clever._internal.optional import import_extra
from clever.errors import InputError
from clever.inputs.files import write_text
from clever.results import plots, record
from clever.results.distance import Distance
from clever.results.tables import csv_text, html_text, plain_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MAX_ROWS = 20
"""The most rows that a printed table shows."""


@dataclass(frozen=True, repr=False)
class Distances(Sequence[Distance]):
    """The distances of a call, ordered by image, target and norm.

    A sequence of `Distance`; a slice is a `Distances`. Distances are in [0,1]-pixel units. ``run``: the run record:
    versions, settings, network. ``names``: the image names by ``image_index``, or empty. ``left_out``: the indices of
    misclassified images, if labels were given.
    """

    distances: tuple[Distance, ...]
    run: Mapping[str, object] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    left_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.distances)

    @overload
    def __getitem__(self, index: int) -> Distance: ...
    @overload
    def __getitem__(self, index: slice) -> "Distances": ...
    def __getitem__(self, index: int | slice) -> "Distance | Distances":
        item = self.distances[index]
        return Distances(item, self.run, self.names, self.left_out) if isinstance(item, tuple) else item

    def rows(self) -> list[dict[str, object]]:
        """`Distance.row` of each distance, preceded by the image name if there are names."""
        return [self._name(distance) | distance.row() for distance in self.distances]

    def to_frame(self) -> "pd.DataFrame":
        """A pandas data frame with one row per distance. `ImportError` without pandas (the extra ``frame``)."""
        table: pd.DataFrame = import_extra("pandas", "a data frame").DataFrame(self.rows())
        return table

    @overload
    def to_csv(self, path: None = None) -> str: ...
    @overload
    def to_csv(self, path: str | os.PathLike[str]) -> None: ...
    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """CSV with one row per distance, written to ``path`` or returned; does not need pandas. A failed attack is
        "inf"."""
        return write_text(path, csv_text(self.rows()))

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: str | os.PathLike[str]) -> None: ...
    def to_json(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """JSON of all distances, without images, and the run record, written to ``path`` or returned.

        The distance of a failed attack is "Infinity".
        """
        document = record.json_value(
            {"format": "clever-distances", "version": 1, "run": self.run, "distances": self.rows()}
        )
        return write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")

    def plot(self) -> "Figure":
        """The distance of each image, one panel per norm; hollow markers at the upper edge mark failed attacks.

        `ImportError` without matplotlib (the extra ``plot``); `InputError` if there is no distance.
        """
        if not self.distances:
            raise InputError("no distance to plot: all images are misclassified, or the slice is empty")
        return plots.distances(self.distances, self.names)

    def __repr__(self) -> str:
        return plain_text(self._title(), self._table(), self._more())

    def _repr_html_(self) -> str:
        return html_text(self._title(), self._table(), self._more())

    def _title(self) -> str:
        images = len({distance.image_index for distance in self.distances})
        plural = "s" * (len(self) != 1), "s" * (images != 1)
        title = f"{len(self)} adversarial distance{plural[0]} of {images} image{plural[1]}, in [0,1]-pixel units"
        missing = sum(math.isinf(distance.distance) for distance in self.distances)
        parts = [f"{missing} not found"] * bool(missing)
        parts += [f"{len(self.left_out)} left out as misclassified"] * bool(self.left_out)
        return "; ".join([title, *parts])

    def _more(self) -> list[str]:
        return [f"... and {len(self) - MAX_ROWS} more"] if len(self) > MAX_ROWS else []

    def _table(self) -> Iterator[list[str]]:
        labels = any(distance.label is not None for distance in self.distances)
        rates = any(distance.rate is not None for distance in self.distances)
        yield [
            *["name"] * bool(self.names),
            *["image", *["label"] * labels, "class", "target", "norm", "distance", *["rate"] * rates, "remarks"],
        ]
        for item in self.distances[:MAX_ROWS]:
            label = [str("" if item.label is None else item.label)] * labels
            rate = [f"{item.rate:.0%}" if item.rate is not None else ""] * rates
            target = f"{item.target_class} ({item.target})"
            cells = [str(item.image_index), *label, str(item.predicted), target, item.norm, f"{item.distance:.4g}"]
            yield [*map(str, self._name(item).values()), *cells, *rate, item.remarks]

    def _name(self, distance: Distance) -> dict[str, object]:
        return {"name": self.names[distance.image_index]} if self.names else {}
