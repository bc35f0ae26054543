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

from clever.capacity import Capacity, Measure
from clever.errors import InputError
from clever.sampling import Ball, batch_generator, batch_offsets

KEPT = 8
"""The largest values that a batch keeps, so that estimators on more than the maximum need no new sampling."""


@dataclass(frozen=True)
class BatchMaxima:
    """What is kept of each batch's N_s values, for each target and each column of the measure.

    ``value``: the ``KEPT`` largest, largest first, (batch, target, column, kept), in the unit of the measure.
    ``index``: at which of the N_s points each lay, same shape. ``distance``: ||x - x0||_p of that point in the ball's
    norm, in [0,1]-pixel units, same shape. ``mean``: over all N_s values, (batch, target, column).
    """

    value: NDArray[np.float32]
    index: NDArray[np.int32]
    distance: NDArray[np.float32]
    mean: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: list["BatchMaxima"], axis: int = 0) -> "BatchMaxima":
        """The parts one after the other along the batch axis (0) or the target axis (1)."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts], axis) for f in fields(cls)))

    def at(self, batch: int, target: int) -> "BatchMaxima":
        """One batch and one target, by position; both axes stay, of length 1."""
        here = (slice(batch, batch + 1), slice(target, target + 1))
        return BatchMaxima(*(getattr(self, f.name)[here] for f in fields(self)))


CHUNK = 4096
"""Points of a chunk of batches, after which progress is told and, where there is a store, kept."""


def chunks(n_batches: int, n_samples: int, points: int = CHUNK) -> list[range]:
    """The batches 0 to N_b - 1 in chunks of about ``points`` points, at boundaries that do not depend on N_b."""
    length = max(1, points // n_samples)
    return [range(start, min(start + length, n_batches)) for start in range(0, n_batches, length)]


@dataclass(frozen=True)
class Site:
    """Where points are drawn: around one image, in one ball. The same site and batch give the same points, always."""

    centre: Tensor
    image: str
    ball: Ball
    n_samples: int
    seed: int
    clip: bool

    def points(self, batches: range, size: int) -> Iterator[tuple[Float[Tensor, "point ..."], Float[Tensor, " point"]]]:
        """The points of the batches, in order, ``size`` at a time, each with its distance from the centre."""
        draws = chain.from_iterable(map(self._draws, batches))
        waiting: list[Tensor] = []
        for draw in draws:
            waiting.append(draw)
            if sum(map(len, waiting)) >= size:
                *full, rest = torch.cat(waiting).split(size)
                if len(rest) == size:
                    full, rest = [*full, rest], rest[:0]
                waiting = [rest] if len(rest) else []
                yield from map(self._measured, full)
        if waiting:
            yield self._measured(torch.cat(waiting))

    def _draws(self, batch: int) -> Iterator[Tensor]:
        generator = batch_generator(self.seed, self.image, self.ball, batch, self.centre.device)
        return batch_offsets(self.ball, self.n_samples, self.centre, generator)

    def _measured(self, offset: Tensor) -> tuple[Tensor, Tensor]:
        points = self.centre + offset
        if self.clip:
            points = points.clamp_(0, 1)
            offset = points - self.centre
        return points, self.ball.norm.of(offset)


def batch_maxima(
    measure: Measure, site: Site, batches: range, capacity: Capacity, advance: Callable[[int], object]
) -> BatchMaxima:
    """The maxima of ``measure`` over each of the batches at the site; ``advance`` hears of gradients as they are done.

    Memory grows with N_s and with the capacity, not with the number of batches. `InputError` names the image, the batch
    and the point where the measure is NaN.
    """
    done: list[BatchMaxima] = []
    values, distances = torch.empty(0), torch.empty(0)
    for points, distance in site.points(batches, capacity.size):
        value = capacity.run(measure, points)
        advance(len(points) * value.shape[1])
        values = torch.cat([values, value]) if len(values) else value
        distances = torch.cat([distances, distance]) if len(distances) else distance
        while len(values) >= site.n_samples:
            done.append(_largest(values[: site.n_samples], distances[: site.n_samples], site, batches[len(done)]))
            values, distances = values[site.n_samples :], distances[site.n_samples :]
    return BatchMaxima.joined(done)


def _largest(values: Tensor, distances: Tensor, site: Site, batch: int) -> BatchMaxima:
    if bool(values.isnan().any()):
        point = int(values.isnan().flatten(1).any(1).nonzero()[0])
        raise InputError(
            f"the network or its derivative is NaN at point {point} of batch {batch} in the {site.ball.norm} ball of "
            f"radius {site.ball.radius:g} around image {site.image[:12]}"
        )
    value, index = values.topk(min(KEPT, len(values)), dim=0)
    distance = distances.to(value.device)[index]

    def array(kept: Tensor, kind: type[np.generic]) -> NDArray[Any]:
        return kept.movedim(0, -1).unsqueeze(0).cpu().numpy().astype(kind)

    return BatchMaxima(
        array(value, np.float32),
        array(index, np.int32),
        array(distance, np.float32),
        array(values.mean(0, keepdim=True), np.float32)[..., 0],
    )
