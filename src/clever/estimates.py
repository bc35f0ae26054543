"""What the maxima around one image say: batches until the budget or the tolerance, end points, bounds."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from clever.ascent import peak
from clever.bpda import on_segments
from clever.capacity import Measure
from clever.extreme_value import EndPoint, end_points
from clever.maxima import BatchMaxima, Site
from clever.norms import Norm
from clever.orders import Order
from clever.path import Path, path_maxima
from clever.samplers import Sampler
from clever.sampling import Ball, Law
from clever.settings import Settings
from clever.subjects import Subject

VANISHING = 10
"""Gradients vanish where, uncapped, the bound from the largest one measured is this many times the diameter of [0,1]^d:
all the way from one corner to the opposite one they would not change the class."""


@dataclass(frozen=True)
class Estimate:
    """What the maxima of one target class say in one norm; the fields are those of `clever.score.Score`.

    ``largest``: the values of each batch that the estimator was given, largest first, (N_b, values). ``score_of``: the
    score for any other end point, with the same floor, path and cap.
    """

    score: float
    low: float
    high: float
    radius: float
    farthest_sample: float
    constant: float
    gradients: int
    end_point: EndPoint
    raised_to_x0: bool
    on_path: bool
    ascended: bool
    vanishing: bool
    diagnostics: dict[str, float]
    largest: NDArray[np.float32]
    score_of: Callable[[float], float]

    def narrower(self, tolerance: float) -> bool:
        """Whether the interval reaches no further than ``tolerance`` of the score to either side; NaN does not."""
        if self.high == self.low:  # infinite ones too
            return True
        return max(self.high - self.score, self.score - self.low) <= tolerance * self.score


class Beside(NamedTuple):
    """The largest value measured elsewhere than at the sampled points, 0 where nothing was, and what that has cost."""

    floor: float = 0.0
    path: float = 0.0
    ascent: float = 0.0
    gradients: int = 0

    @property
    def largest(self) -> float:
        """Of them all."""
        return max(self.floor, self.path, self.ascent)

    def source(self, end_point: float) -> str:
        """Where the largest is from, the first of what is equally large; "" where the end point is no smaller."""
        found = {"": end_point, "floor": self.floor, "path": self.path, "ascent": self.ascent}
        return max(found, key=found.__getitem__)


def estimates(
    network: nn.Module,
    image: Float[Tensor, "channel height width"],
    subject: Subject,
    settings: Settings,
    ball: Ball,
    norms: Sequence[Norm],
    order: Order,
    sampler: Sampler,
) -> dict[tuple[Norm, int], Estimate]:
    """Batch after batch at the points of one ball, for each target class until the settings' budget or tolerance."""
    measured, seen = on_segments(network) if settings.segments or order.segments else (network, None)
    site = Site(image, subject.name, ball, settings.n_samples, settings.seed, settings.clip, seen)

    def measure_of(targets: Sequence[int]) -> Measure:
        return order.measure(measured, image, subject, targets)

    at_image = {}
    if settings.floor:
        start = image.unsqueeze(0)
        of_class = measure_of(subject.classes)(start if seen is None else seen(start))[0].tolist()
        at_image = dict(zip(subject.classes, of_class, strict=True))
    path: Path | None = None
    if settings.path:
        radii = {norm: ball.holds(norm, subject.dimension) for norm in norms}
        path = path_maxima(network, image, subject, order, radii)

    def beside(norm: Norm, label: int) -> Beside:
        column, known = order.column(norm, settings), Beside()
        if settings.floor:
            known = known._replace(floor=at_image[label][column], gradients=1)
        if path:
            on_path = path.maxima[norm, label][column] if (norm, label) in path.maxima else 0.0
            known = known._replace(path=on_path, gradients=known.gradients + path.gradients_of(norm, label))
        return known

    made: dict[tuple[Norm, int], Estimate] = {}

    def fit(norm: Norm, labels: Sequence[int], maxima: Sequence[BatchMaxima], known: Sequence[Beside]) -> None:
        of_norm = _made(subject, settings, ball, norm, order, labels, maxima, known)
        made.update(((norm, label), estimate) for label, estimate in zip(labels, of_norm, strict=True))

    held: dict[int, list[BatchMaxima]] = {label: [] for label in subject.classes}
    unsettled = subject.classes
    for batches in settings.stages():
        more = sampler(measure_of, site, subject.predicted, unsettled, batches)
        for at, label in enumerate(unsettled):
            held[label].append(more.of_target(at))
        maxima = [BatchMaxima.joined(held[label]) for label in unsettled]
        for norm in norms:
            fit(norm, unsettled, maxima, [beside(norm, label) for label in unsettled])
        if settings.tolerance is not None:
            narrow = settings.tolerance
            unsettled = [j for j in unsettled if not all(made[norm, j].narrower(narrow) for norm in norms)]
        if not unsettled:
            break
    if settings.ascent:
        labels = subject.classes
        maxima = [BatchMaxima.joined(held[label]) for label in labels]
        for norm in norms:
            known = []
            for label, of_label in zip(labels, maxima, strict=True):
                top, other = peak(measured, site, subject, label, order, norm, settings, of_label), beside(norm, label)
                known.append(other._replace(ascent=top.value, gradients=other.gradients + top.gradients))
            fit(norm, labels, maxima, known)
    return made


def _made(
    subject: Subject,
    settings: Settings,
    ball: Ball,
    norm: Norm,
    order: Order,
    labels: Sequence[int],
    maxima: Sequence[BatchMaxima],
    beside: Sequence[Beside],
) -> Iterator[Estimate]:
    """The estimate of each label in one norm, all their laws fitted at once; none below what is known beside it."""
    in_box = settings.clip or ball.law is Law.UNIFORM_IN_BOX
    kept = settings.estimator.values_of(settings.n_samples)
    largest = np.stack([of_label.value[:, 0, order.column(norm, settings), :kept] for of_label in maxima])
    points = end_points(largest, settings.estimator)
    for label, of_label, row, point, other in zip(labels, maxima, largest, points, beside, strict=True):
        farthest_sample = max(float(of_label.reach.max()), sys.float_info.min)  # no radius of zero, whatever is clipped
        radius = replace(ball, radius=min(ball.radius, farthest_sample) if in_box else ball.radius).holds(
            norm, subject.dimension
        )
        limit = radius if settings.cap else math.inf
        score_of = partial(_score_of, order, subject, label, norm, other.largest, limit)
        # An end point that may be anywhere leaves a score down to 0.
        score, low, high = map(score_of, (point.value, point.high, point.low))
        told = order.diagnostics(of_label, 0)
        measured = order.bound(subject, label, norm, max(point.sample_maximum, other.largest), math.inf)
        masked = measured > VANISHING * subject.dimension ** (1 / norm.p)
        source = other.source(point.value)
        yield Estimate(
            score=score,
            low=low,
            high=high,
            radius=radius,
            farthest_sample=farthest_sample,
            constant=max(point.value, other.largest),
            gradients=len(row) * settings.n_samples + other.gradients,
            end_point=point,
            raised_to_x0=source == "floor",
            on_path=source == "path",
            ascended=source == "ascent",
            vanishing=masked,
            diagnostics=told,
            largest=row,
            score_of=score_of,
        )


def _score_of(
    order: Order, subject: Subject, label: int, norm: Norm, least: float, limit: float, end_point: float
) -> float:
    """The bound for an end point, or the least that is known if that is more; NaN for an unknown one."""
    return math.nan if math.isnan(end_point) else order.bound(subject, label, norm, max(end_point, least), limit)
