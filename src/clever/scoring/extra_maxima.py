"""What is measured for a target class outside the points sampled in the ball."""


class ExtraMaxima:
    """The largest value of one column measured at each other source, and what measuring it has cost in gradients.

    Sources: ``floor``, the image itself; ``path``, the way to an adversarial image; ``ascent``.
    """

    def __init__(self) -> None:
        self.by_source: dict[str, float] = {}
        self.gradients = 0

    def add(self, source: str, value: float, gradients: int) -> None:
        """A value from one more source."""
        self.by_source[source] = value
        self.gradients += gradients

    @property
    def largest(self) -> float:
        """Of all sources; 0 where nothing was measured, since norms and curvatures are never negative."""
        return max(self.by_source.values(), default=0.0)

    def exceeding(self, end_point: float) -> str | None:
        """The source of the largest value, the first among equals; None where the end point is no smaller."""
        return max(self.by_source, key=self.by_source.__getitem__) if self.largest > end_point else None
