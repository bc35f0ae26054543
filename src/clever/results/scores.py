"""The result of `clever.score`: a sequence of scores with export to tables, JSON and plots."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from clever._internal.optional import import_extra
from clever.errors import InputError
from clever.inputs.files import write_text
from clever.results import plots, record
from clever.results.score import Score
from clever.results.tables import csv_text, html_text, plain_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 20
"""The most rows that a printed table shows."""


@dataclass(frozen=True, repr=False)
class Scores(Sequence[Score]):
    """The scores of a call, ordered by image, norm and target.

    A sequence of `Score`; a slice is a `Scores`. Scores and radii are in [0,1]-pixel units. ``run``: the run record
    (`clever.results.record`). ``names``: the image names by ``image_index``, or empty. ``left_out``: the indices of
    misclassified images, if labels were given.
    """

    scores: tuple[Score, ...]
    run: Mapping[str, object] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    left_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> "Scores": ...
    def __getitem__(self, index: int | slice) -> "Score | Scores":
        item = self.scores[index]
        return Scores(item, self.run, self.names, self.left_out) if isinstance(item, tuple) else item

    def rows(self) -> list[dict[str, object]]:
        """`Score.row` of each score, preceded by the image name if there are names."""
        return [self._name(score) | score.row() for score in self.scores]

    def to_frame(self) -> "pd.DataFrame":
        """A pandas data frame with one row per score. `ImportError` without pandas (the extra ``frame``)."""
        table: pd.DataFrame = import_extra("pandas", "a data frame").DataFrame(self.rows())
        return table

    @overload
    def to_csv(self, path: None = None) -> str: ...
    @overload
    def to_csv(self, path: str | os.PathLike[str]) -> None: ...
    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """CSV with one row per score, written to ``path`` or returned; does not need pandas. NaN (unknown) is empty."""
        return write_text(path, csv_text(self.rows()))

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: str | os.PathLike[str]) -> None: ...
    def to_json(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """JSON of all scores and the run record, in the schema of `clever.results.record`; written to ``path`` or
        returned."""
        named = [self._name(score) | record.score_fields(score) for score in self.scores]
        return write_text(path, json.dumps(record.document(named, self.run), indent=2, allow_nan=False) + "\n")

    def plot(self) -> "Figure":
        """The score of each image with its interval, one panel per norm; hollow markers are capped scores.

        `ImportError` without matplotlib (the extra ``plot``); `InputError` if there is no score.
        """
        if not self.scores:
            raise InputError("no score to plot: all images are misclassified, or the slice is empty")
        return plots.scores(self.scores, self.names)

    def plot_fit(self, index: int = 0, axes: "Axes | None" = None) -> "Axes":
        """A histogram of the batch maxima of the score at ``index``, the density of the law fitted to them, and its end
        point.

        Drawn into ``axes`` or a new figure. `ImportError` without matplotlib (the extra ``plot``).
        """
        return plots.fit(self.scores[index], axes)

    def __repr__(self) -> str:
        return plain_text(self._title(), self._table(), self._more())

    def _repr_html_(self) -> str:
        return html_text(self._title(), self._table(), self._more())

    def _title(self) -> str:
        images = len({score.image_index for score in self.scores})
        plural = "s" * (len(self) != 1), "s" * (images != 1)
        title = f"{len(self)} CLEVER score{plural[0]} of {images} image{plural[1]}, distances in [0,1]-pixel units"
        return f"{title}; {len(self.left_out)} left out as misclassified" if self.left_out else title

    def _more(self) -> list[str]:
        return [f"... and {len(self) - MAX_ROWS} more"] if len(self) > MAX_ROWS else []

    def _table(self) -> Iterator[list[str]]:
        labels = any(score.label is not None for score in self.scores)
        named = [*["name"] * bool(self.names), "image", *["label"] * labels]
        yield [*named, "class", "target", "norm", "order", "score", "95 % interval", "remarks"]
        for score in self.scores[:MAX_ROWS]:
            name = list(map(str, self._name(score).values()))
            label = [str("" if score.label is None else score.label)] * labels
            target = f"{score.target_class} ({score.target})"
            numbers = [score.norm, score.order.replace("_", " "), f"{score.score:.4g}", score.interval, score.remarks]
            yield [*name, str(score.image_index), *label, str(score.predicted), target, *numbers]

    def _name(self, score: Score) -> dict[str, object]:
        return {"name": self.names[score.image_index]} if self.names else {}
