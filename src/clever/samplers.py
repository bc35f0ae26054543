"""Where batch maxima come from: computed here and now, or by whoever offers the same call."""

from collections.abc import Callable, Sequence

from clever.capacity import Capacity, Measure
from clever.maxima import BatchMaxima, Site, batch_maxima, chunks

MeasureOf = Callable[[Sequence[int]], Measure]
Sampler = Callable[[MeasureOf, Site, int, Sequence[int], range], BatchMaxima]
"""Gives the maxima of a measure for (measure_of, site, predicted class, target classes, batches)."""


def sample_with(advance: Callable[[int], object]) -> Sampler:
    """The sampler that computes everything; ``advance`` hears of gradients as they are done."""
    capacities: list[Capacity] = []

    def sampler(
        measure_of: MeasureOf, site: Site, predicted: int, targets: Sequence[int], batches: range
    ) -> BatchMaxima:
        measure = measure_of(targets)
        if not capacities:
            capacities.append(Capacity.of(measure_of(targets[:1]), site.centre))
        parts = []
        for chunk in chunks(batches, site.n_samples):
            parts.append(batch_maxima(measure, site, chunk, capacities[0], advance))
        return BatchMaxima.joined(parts)

    return sampler
