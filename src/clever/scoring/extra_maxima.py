"""Maxima for a target class from sources other than the points sampled in the ball."""


class ExtraMaxima:
    """The largest value of one column from each source, and the total cost in gradients.

    Sources: ``floor``, the image itself; ``path``, the segment to an adversarial image; ``ascent``.
    """

    def __init__(self) -> None:
        self.by_source: dict[str, float] = {}
        self.gradients = 0

    def add(self, source: str, value: float, gradients: int) -> None:
        """Add the value of a source."""
        self.by_source[source] = value
        self.gradients += gradients

    @property
    def largest(self) -> float:
        """The largest value of all sources; 0 without any, since norms and curvatures are never negative."""
        return max(self.by_source.values(), default=0.0)

    def exceeding(self, end_point: float) -> str | None:
        """The source of the largest value, the first among equals; None unless it exceeds the end point."""
        return max(self.by_source, key=self.by_source.__getitem__) if self.largest > end_point else None
