"""Batch maxima: the largest values of each of N_b batches of N_s points in a ball."""

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

N_KEPT = 8
"""Largest values kept per batch, so that estimators that use more than the maximum need no new samples."""


@dataclass(frozen=True)
class BatchMaxima:
    """Statistics of each batch's N_s values, for each target and each column of the measure.

    ``value``: the `N_KEPT` largest values in descending order, (batch, target, column, kept), in the measure's unit.
    ``index``: the index of each one's point among the N_s, same shape. ``distance``: ||x - x0||_p of that point in the
    ball's norm, in [0,1]-pixel units, same shape. ``mean``: of all N_s values, (batch, target, column). ``reach``: the
    largest ||x - x0||_p of all N_s points, (batch, target), the same for every target.
    """

    value: NDArray[np.float32]
    index: NDArray[np.int32]
    distance: NDArray[np.float32]
    mean: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def concatenate(cls, parts: list["BatchMaxima"], axis: int = 0) -> "BatchMaxima":
        """The parts concatenated along the batch axis (0) or the target axis (1)."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts], axis) for f in fields(cls)))

    def select_target(self, target: int) -> "BatchMaxima":
        """The target at that position; its axis is kept, with length 1."""
        return BatchMaxima(*(getattr(self, f.name)[:, target : target + 1] for f in fields(self)))

    def select(self, batch: int, target: int) -> "BatchMaxima":
        """The batch and target at these positions; both axes are kept, with length 1."""
        cell = (slice(batch, batch + 1), slice(target, target + 1))
        return BatchMaxima(*(getattr(self, f.name)[cell] for f in fields(self)))


CHUNK = 4096
"""Points per chunk of batches; after each chunk, progress is reported and stored maxima are saved."""


def chunks(batches: range, n_samples: int, points: int = CHUNK) -> list[range]:
    """Split the batches into chunks of about ``points`` points, at boundaries that do not depend on the range."""
    length = max(1, points // n_samples)
    starts = [batches.start, *range((batches.start // length + 1) * length, batches.stop, length)]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], batches.stop], strict=True)]


@dataclass(frozen=True)
class BallSampler:
    """Samples points in a ball around one image. Equal samplers always give equal points for the same batches.

    With ``transform``, the transformation t of a classifier f(t(x)), the points are z = z0 + u (t(x) - z0) on the
    segments from z0 = t(x0) to t(x), u uniform in [0,1]. The x, and their distances from x0, are the same as without.
    """

    centre: Tensor
    image: str
    ball: Ball
    n_samples: int
    seed: int
    clip: bool
    transform: Transformation | None = None

    def points(self, batches: range, size: int) -> Iterator[tuple[Float[Tensor, "point ..."], Float[Tensor, " point"]]]:
        """The points of the batches, in order, ``size`` at a time, with their distances from the centre.

        The next points overwrite the same buffer: on a CPU, new memory costs more than the computations in it.
        """
        size = min(size, len(batches) * self.n_samples)
        buffer, distances = self.centre.new_empty((size, *self.centre.shape)), self.centre.new_empty(size)
        filled = 0
        for drawn in chain.from_iterable(map(self._draws, batches)):
            points, distance = drawn
            while len(points):
                count = min(len(points), size - filled)
                buffer[filled : filled + count] = points[:count]
                distances[filled : filled + count] = distance[:count]
                points, distance, filled = points[count:], distance[count:], filled + count
                if filled == size:
                    yield buffer, distances.clone()
                    filled = 0
        if filled:
            yield buffer[:filled], distances[:filled].clone()

    def _draws(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = batch_generator(self.seed, self.image, self.ball, batch, self.centre.device)
        drawn = map(self._measured, batch_offsets(self.ball, self.n_samples, self.centre, generator))
        return drawn if self.transform is None else self._on_segments(drawn, batch, self.transform)

    def _on_segments(
        self, drawn: Iterator[tuple[Tensor, Tensor]], batch: int, transform: Transformation
    ) -> Iterator[tuple[Tensor, Tensor]]:
        # A separate generator, so that the x are those of a run without segments. It draws as many numbers for a
        # truncated draw as for a full one, so that a longer batch begins with the points of a shorter one.
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
    """The maxima of ``measure`` over each batch; ``advance`` is called with the number of gradients computed.

    Synchronises with the device once, at the end. Memory grows with the capacity and, by a few numbers per point, with
    the number of batches: call it for one chunk at a time (`chunks`). `NotFinite` with the image, batch and point if
    the measure is NaN or infinite.
    """
    values, distances = [], []
    for points, distance in ball_sampler.points(batches, capacity.size):
        values.append(capacity.run(measure, points))
        distances.append(distance)
        advance(len(points) * values[-1].shape[1])
    batch_values = torch.cat(values).unflatten(0, (len(batches), ball_sampler.n_samples))
    value, index = batch_values.topk(min(N_KEPT, ball_sampler.n_samples), dim=1)
    distance = (
        torch.cat(distances)
        .to(value)
        .view(len(batches), ball_sampler.n_samples, 1, 1)
        .expand_as(batch_values)
        .gather(1, index)
    )
    reach = torch.cat(distances).view(len(batches), 1, ball_sampler.n_samples).amax(2).expand(-1, batch_values.shape[2])
    mean = batch_values.mean(1, dtype=torch.float64)  # the last digit of a float32 mean depends on the other targets
    if not bool(value.isfinite().all()):  # topk ranks NaN above any number
        bad = (~batch_values.isfinite()).flatten(2).any(2).nonzero()
        at, point = bad[0].tolist()
        ball = ball_sampler.ball
        raise NotFinite(
            f"the network or its derivative is NaN or infinite at {len(bad)} of "
            f"{len(batches) * ball_sampler.n_samples} points, the first of them point {point} of batch {batches[at]} "
            f"in the {ball.norm} ball of radius {ball.radius:g} around image {ball_sampler.image[:12]}"
        )

    def array(tensor: Tensor, dtype: type[np.generic]) -> NDArray[Any]:
        return tensor.cpu().numpy().astype(dtype)

    return BatchMaxima(
        array(value.movedim(1, -1), np.float32),
        array(index.movedim(1, -1), np.int32),
        array(distance.movedim(1, -1), np.float32),
        array(mean, np.float32),
        array(reach, np.float32),
    )
