"""Batch maxima: the N_b largest values, each over N_s points of a ball."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from clever._internal.capacity import Capacity, Measure
from clever._internal.types import Transformation
from clever.errors import NotFinite
from clever.sampling.balls import DRAW, Ball, batch_generator, batch_offsets

KEPT = 8
"""The largest values that a batch keeps, so that estimators on more than the maximum need no new sampling."""


@dataclass(frozen=True)
class BatchMaxima:
    """What is kept of each batch's N_s values, for each target and each column of the measure.

    ``value``: the ``KEPT`` largest, largest first, (batch, target, column, kept), in the unit of the measure.
    ``index``: at which of the N_s points each lay, same shape. ``distance``: ||x - x0||_p of that point in the ball's
    norm, in [0,1]-pixel units, same shape. ``mean``: over all N_s values, (batch, target, column). ``reach``: the
    largest ||x - x0||_p of all N_s points, (batch, target), the same for every target.
    """

    value: NDArray[np.float32]
    index: NDArray[np.int32]
    distance: NDArray[np.float32]
    mean: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: list["BatchMaxima"], axis: int = 0) -> "BatchMaxima":
        """The parts one after the other along the batch axis (0) or the target axis (1)."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts], axis) for f in fields(cls)))

    def of_target(self, target: int) -> "BatchMaxima":
        """One target, by position; its axis stays, of length 1."""
        return BatchMaxima(*(getattr(self, f.name)[:, target : target + 1] for f in fields(self)))

    def at(self, batch: int, target: int) -> "BatchMaxima":
        """One batch and one target, by position; both axes stay, of length 1."""
        here = (slice(batch, batch + 1), slice(target, target + 1))
        return BatchMaxima(*(getattr(self, f.name)[here] for f in fields(self)))


CHUNK = 4096
"""Points of a chunk of batches, after which progress is told and, where there is a store, kept."""


def chunks(batches: range, n_samples: int, points: int = CHUNK) -> list[range]:
    """The batches in chunks of about ``points`` points, at boundaries of their own, whichever are asked for."""
    length = max(1, points // n_samples)
    starts = [batches.start, *range((batches.start // length + 1) * length, batches.stop, length)]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], batches.stop], strict=True)]


@dataclass(frozen=True)
class BallSampler:
    """Draws points around one image, in one ball. Equal samplers and batches give the same points, always.

    With ``transform``, the transformation t of a classifier f(t(x)), the points are z = z0 + u (t(x) - z0) on the
    segments from z0 = t(x0) to t(x), u uniform in [0,1]: the x are the same as without, and so are their distances,
    which are those of x from x0.
    """

    centre: Tensor
    image: str
    ball: Ball
    n_samples: int
    seed: int
    clip: bool
    transform: Transformation | None = None

    def points(self, batches: range, size: int) -> Iterator[tuple[Float[Tensor, "point ..."], Float[Tensor, " point"]]]:
        """The points of the batches, in order, ``size`` at a time, each with its distance from the centre.

        The points lie in one piece of memory that the next ones overwrite: fresh memory costs a processor more than
        what is done in it.
        """
        size = min(size, len(batches) * self.n_samples)
        held, distances = self.centre.new_empty((size, *self.centre.shape)), self.centre.new_empty(size)
        filled = 0
        for drawn in chain.from_iterable(map(self._draws, batches)):
            points, distance = drawn
            while len(points):
                count = min(len(points), size - filled)
                held[filled : filled + count] = points[:count]
                distances[filled : filled + count] = distance[:count]
                points, distance, filled = points[count:], distance[count:], filled + count
                if filled == size:
                    yield held, distances.clone()
                    filled = 0
        if filled:
            yield held[:filled], distances[:filled].clone()

    def _draws(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = batch_generator(self.seed, self.image, self.ball, batch, self.centre.device)
        drawn = map(self._measured, batch_offsets(self.ball, self.n_samples, self.centre, generator))
        return drawn if self.transform is None else self._on_segments(drawn, batch, self.transform)

    def _on_segments(
        self, drawn: Iterator[tuple[Tensor, Tensor]], batch: int, transform: Transformation
    ) -> Iterator[tuple[Tensor, Tensor]]:
        # Numbers of their own, so that the x are those of a run without segments; as many for a cut draw as for a whole
        # one, so that the first points of a longer batch are those of a shorter one.
        generator = batch_generator(self.seed, f"{self.image}/segments", self.ball, batch, self.centre.device)
        start = transform(self.centre.unsqueeze(0))
        for points, distance in drawn:
            most = max(most for most, _ in DRAW.values())
            share = torch.rand(most, generator=generator, dtype=points.dtype, device=points.device)[: len(points)]
            yield torch.lerp(start, transform(points), share.view(-1, *[1] * self.centre.ndim)), distance

    def _measured(self, offset: Tensor) -> tuple[Tensor, Tensor]:
        if not self.clip:
            return self.centre + offset, self.ball.norm.of(offset)
        points = offset.add_(self.centre).clamp_(0, 1)
        return points, self.ball.norm.of(points - self.centre)


def batch_maxima(
    measure: Measure, ball_sampler: BallSampler, batches: range, capacity: Capacity, advance: Callable[[int], object]
) -> BatchMaxima:
    """The maxima of ``measure`` over each of the batches; ``advance`` is called with the number of gradients begun.

    The device is waited for once, at the end. Memory grows with the capacity and, by a few numbers a point, with the
    batches: ask for a chunk of them (`chunks`). `NotFinite` names the image, the batch and the point where the measure
    is NaN or infinite: no maximum and no mean is taken over such a point.
    """
    values, distances = [], []
    for points, distance in ball_sampler.points(batches, capacity.size):
        values.append(capacity.run(measure, points))
        distances.append(distance)
        advance(len(points) * values[-1].shape[1])
    of_batch = torch.cat(values).unflatten(0, (len(batches), ball_sampler.n_samples))
    value, index = of_batch.topk(min(KEPT, ball_sampler.n_samples), dim=1)
    distance = (
        torch.cat(distances)
        .to(value)
        .view(len(batches), ball_sampler.n_samples, 1, 1)
        .expand_as(of_batch)
        .gather(1, index)
    )
    reach = torch.cat(distances).view(len(batches), 1, ball_sampler.n_samples).amax(2).expand(-1, of_batch.shape[2])
    mean = of_batch.mean(1, dtype=torch.float64)  # in single precision its last digit depends on the other targets
    if not bool(value.isfinite().all()):  # the largest values: NaN counts as larger than any number
        bad = (~of_batch.isfinite()).flatten(2).any(2).nonzero()
        at, point = bad[0].tolist()
        ball = ball_sampler.ball
        raise NotFinite(
            f"the network or its derivative is NaN or infinite at {len(bad)} of "
            f"{len(batches) * ball_sampler.n_samples} points, the first of them point {point} of batch {batches[at]} "
            f"in the {ball.norm} ball of radius {ball.radius:g} around image {ball_sampler.image[:12]}"
        )

    def array(kept: Tensor, kind: type[np.generic]) -> NDArray[Any]:
        return kept.cpu().numpy().astype(kind)

    return BatchMaxima(
        array(value.movedim(1, -1), np.float32),
        array(index.movedim(1, -1), np.int32),
        array(distance.movedim(1, -1), np.float32),
        array(mean, np.float32),
        array(reach, np.float32),
    )
