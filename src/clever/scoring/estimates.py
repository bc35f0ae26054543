"""Score estimates from the points of one ball around one image: maxima, end points, bounds."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from clever._internal.capacity import Measure
from clever._internal.types import Transformation
from clever.bounds.first_order import Order
from clever.classifier.image_context import ImageContext
from clever.defenses.bpda import segment_network
from clever.extreme_value.estimators import EndPoint, Estimator, end_points
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler, BatchMaxima
from clever.sampling.samplers import Sampler
from clever.scoring.ascent import peak
from clever.scoring.extra_maxima import ExtraMaxima
from clever.scoring.path import path_maxima
from clever.settings import Settings

VANISHING = 10
"""Gradients count as vanishing if the uncapped bound from the largest one exceeds this multiple of the diameter of
[0,1]^d: such gradients could not change the class anywhere in the pixel range."""


@dataclass(frozen=True)
class Estimate:
    """The estimate for one target class in one norm; the fields are those of `clever.Score`.

    ``largest``: the values of each batch that the estimator used, largest first, (N_b, values).
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


class TargetMaxima:
    """All measurements for one target class: the sampled batches, and extra maxima in each norm."""

    def __init__(self, label: int, norms: Sequence[Norm]) -> None:
        self.label = label
        self.batches: list[BatchMaxima] = []
        self.extra = {norm: ExtraMaxima() for norm in norms}

    @property
    def sampled(self) -> BatchMaxima:
        """The maxima of all batches."""
        return BatchMaxima.concatenate(self.batches)


@dataclass(frozen=True)
class BallEstimator:
    """Estimates for one image and ball, for each norm of the ball and each target class. The network must be frozen."""

    network: nn.Module
    image: Float[Tensor, "channel height width"]
    context: ImageContext
    settings: Settings
    order: Order
    ball: Ball
    norms: Sequence[Norm]

    def estimates(self, sampler: Sampler) -> dict[tuple[Norm, int], Estimate]:
        """The estimate for each norm and target class, from the settings' number of batches."""
        labels = self.context.classes
        targets = [TargetMaxima(label, self.norms) for label in labels]
        self._add_floor(targets)
        self._add_path(targets)
        batches = range(self.settings.n_batches)
        maxima = sampler(self._measure, self._ball_sampler, self.context.predicted, labels, batches)
        for position, target in enumerate(targets):
            target.batches.append(maxima.select_target(position))
        self._add_ascent(targets)
        return self._fit(targets)

    @cached_property
    def _at_points(self) -> tuple[nn.Module, Transformation | None]:
        """The network evaluated at the points and, for points on segments, the map from images to them."""
        segments = self.settings.segments or self.order.segments
        return segment_network(self.network) if segments else (self.network, None)

    @cached_property
    def _ball_sampler(self) -> BallSampler:
        settings, (_, transform) = self.settings, self._at_points
        return BallSampler(
            self.image, self.context.name, self.ball, settings.n_samples, settings.seed, settings.clip, transform
        )

    def _measure(self, labels: Sequence[int]) -> Measure:
        return self.order.measure(self._at_points[0], self.image, self.context, labels)

    def _add_floor(self, targets: Sequence[TargetMaxima]) -> None:
        """Add the values at the image itself."""
        if not self.settings.floor:
            return
        start, transform = self.image.unsqueeze(0), self._at_points[1]
        rows = self._measure([target.label for target in targets])(transform(start) if transform else start)[0]
        for target, row in zip(targets, rows.tolist(), strict=True):
            for norm, extra in target.extra.items():
                extra.add("floor", row[self.order.column(norm, self.settings)], 1)

    def _add_path(self, targets: Sequence[TargetMaxima]) -> None:
        """Add the largest values on the segments to adversarial images."""
        if not self.settings.path:
            return
        radii = {norm: self.ball.inner_radius(norm, self.context.dimension) for norm in self.norms}
        path = path_maxima(self.network, self.image, self.context, self.order, radii)
        for target in targets:
            for norm, extra in target.extra.items():
                columns = path.maxima.get((norm, target.label))
                value = columns[self.order.column(norm, self.settings)] if columns else 0.0
                extra.add("path", value, path.gradient_cost(norm, target.label))

    def _add_ascent(self, targets: Sequence[TargetMaxima]) -> None:
        """Add the largest values found by ascent from the sampled points."""
        if not self.settings.ascent:
            return
        context, order, settings = self.context, self.order, self.settings
        for target in targets:
            for norm, extra in target.extra.items():
                network, sampled = self._at_points[0], target.sampled
                top = peak(network, self._ball_sampler, context, target.label, order, norm, settings, sampled)
                extra.add("ascent", top.value, top.gradients)

    def _fit(self, targets: Sequence[TargetMaxima]) -> dict[tuple[Norm, int], Estimate]:
        """The estimates for these classes; all distributions in one norm are fitted at once."""
        estimates = {}
        sampled = [target.sampled for target in targets]
        count = Estimator.parse(self.settings.estimator).n_largest(self.settings.n_samples)
        for norm in self.norms:
            column = self.order.column(norm, self.settings)
            largest = np.stack([maxima.value[:, 0, column, :count] for maxima in sampled])
            points = end_points(largest, self.settings.estimator)
            for target, maxima, values, point in zip(targets, sampled, largest, points, strict=True):
                estimates[norm, target.label] = self._estimate(norm, target, maxima, values, point)
        return estimates

    def _estimate(
        self, norm: Norm, target: TargetMaxima, sampled: BatchMaxima, largest: NDArray[np.float32], point: EndPoint
    ) -> Estimate:
        """The score from an end point, raised to the extra maxima if they are larger, and limited by the ball."""
        extra, settings, dimension = target.extra[norm], self.settings, self.context.dimension
        farthest = max(float(sampled.reach.max()), sys.float_info.min)  # positive even if all points clip to x0
        radius = replace(self.ball, radius=min(self.ball.radius, farthest) if settings.clip else self.ball.radius)
        limit = radius.inner_radius(norm, dimension)
        bound = partial(self.order.bound, self.context, target.label, norm)
        score_of = partial(_score_of, bound, extra.largest, limit if settings.cap else math.inf)
        # An end point without an upper limit gives a lower limit of 0.
        score, low, high = map(score_of, (point.value, point.high, point.low))
        uncapped = bound(max(point.sample_maximum, extra.largest), math.inf)
        source = extra.exceeding(point.value)
        return Estimate(
            score=score,
            low=low,
            high=high,
            radius=limit,
            farthest_sample=farthest,
            constant=max(point.value, extra.largest),
            gradients=len(largest) * settings.n_samples + extra.gradients,
            end_point=point,
            raised_to_x0=source == "floor",
            on_path=source == "path",
            ascended=source == "ascent",
            vanishing=uncapped > VANISHING * dimension ** (1 / norm.p),
            diagnostics=self.order.diagnostics(sampled, 0),
            largest=largest,
        )


def _score_of(bound: Callable[[float, float], float], least: float, limit: float, end_point: float) -> float:
    """The bound from the end point, or from ``least``, a lower bound on the maximum, if larger; NaN for NaN."""
    return math.nan if math.isnan(end_point) else bound(max(end_point, least), limit)
