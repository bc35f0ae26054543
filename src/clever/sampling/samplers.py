"""Where batch maxima come from: computed here and now, or by whoever offers the same call."""

from collections.abc import Callable, Sequence

from clever._internal.capacity import Capacity, Measure
from clever.sampling.maxima import BallSampler, BatchMaxima, batch_maxima, chunks

MeasureOf = Callable[[Sequence[int]], Measure]
Sampler = Callable[[MeasureOf, BallSampler, int, Sequence[int], range], BatchMaxima]
"""Gives the maxima of a measure for (measure_of, ball sampler, predicted class, target classes, batches)."""


def sample_with(advance: Callable[[int], object]) -> Sampler:
    """The sampler that computes everything; ``advance`` hears of gradients as they are done."""
    capacities: list[Capacity] = []

    def sampler(
        measure_of: MeasureOf, ball_sampler: BallSampler, predicted: int, targets: Sequence[int], batches: range
    ) -> BatchMaxima:
        measure = measure_of(targets)
        if not capacities:
            capacities.append(Capacity.of(measure_of(targets[:1]), ball_sampler.centre))
        parts = []
        for chunk in chunks(batches, ball_sampler.n_samples):
            parts.append(batch_maxima(measure, ball_sampler, chunk, capacities[0], advance))
        return BatchMaxima.joined(parts)

    return sampler
