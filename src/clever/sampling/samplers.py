"""The interface that provides batch maxima, and the sampler that computes them without a store."""

from collections.abc import Callable, Sequence

from clever._internal.capacity import Capacity, Measure
from clever.sampling.maxima import BallSampler, BatchMaxima, batch_maxima, chunks

MeasureFactory = Callable[[Sequence[int]], Measure]
Sampler = Callable[[MeasureFactory, BallSampler, int, Sequence[int], range], BatchMaxima]
"""Returns batch maxima for (make_measure, ball sampler, predicted class, target classes, batches)."""


def direct_sampler(advance: Callable[[int], object]) -> Sampler:
    """A sampler that computes all maxima; it calls ``advance`` with the number of gradients computed."""
    capacities: list[Capacity] = []

    def sampler(
        make_measure: MeasureFactory, ball_sampler: BallSampler, predicted: int, targets: Sequence[int], batches: range
    ) -> BatchMaxima:
        measure = make_measure(targets)
        if not capacities:
            capacities.append(Capacity.estimate(make_measure(targets[:1]), ball_sampler.centre))
        parts = []
        for chunk in chunks(batches, ball_sampler.n_samples):
            parts.append(batch_maxima(measure, ball_sampler, chunk, capacities[0], advance))
        return BatchMaxima.concatenate(parts)

    return sampler
