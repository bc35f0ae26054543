"""Laws of points whose end is known, for benchmarks of end points: batches of N_s points, the largest of each kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KEPT = 8
SIZES = (16, 32, 100, 500)
"""Batches of a sample, N_b."""
MOST = 2e8
"""Numbers drawn for a law and number of batches at the most."""
END = 50.0
"""Far enough above 0 for every sample."""


@dataclass(frozen=True)
class LargestOf:
    """``draw``: the largest values of N_b batches, (N_b, kept), largest first. ``end``: infinite for none.

    ``numbers``: that are drawn for a batch. ``points``: of the population, infinitely many but in a pool.
    """

    name: str
    n_samples: int
    end: float
    draw: Callable[[np.random.Generator, int], Array]
    numbers: int
    points: float = np.inf

    def largest(self, samples: int, n_batches: int, seed: int) -> Array:
        """(samples, N_b, kept); the same seed, the same values."""
        generator = np.random.default_rng([seed, n_batches])
        found = np.stack([self.draw(generator, n_batches) for _ in range(samples)])
        assert found.shape[1:] == (n_batches, KEPT)
        return found


def reverse_weibull(shape: float, n_samples: int) -> LargestOf:
    """The end minus powers of a Poisson process: the r largest of very many points; infinite shape: Gumbel."""

    def draw(generator: np.random.Generator, n_batches: int) -> Array:
        arrivals = generator.exponential(size=(n_batches, KEPT)).cumsum(axis=1)
        found: Array = END - (arrivals ** (1 / shape) if np.isfinite(shape) else np.log(arrivals))
        return found

    name = f"reverse Weibull, shape {shape:g}" if np.isfinite(shape) else "Gumbel"
    return LargestOf(name, n_samples, END if np.isfinite(shape) else np.inf, draw, KEPT)


def beta(n_samples: int, a: float = 3.0, b: float = 4.0) -> LargestOf:
    """Points of a beta law on [0, 1]: the tail's shape is b, which batches of N_s points reach only nearly."""
    return LargestOf(
        f"beta({a:g}, {b:g})", n_samples, 1.0, _batches(lambda g, size: g.beta(a, b, size), n_samples), n_samples
    )


def frechet(n_samples: int) -> LargestOf:
    """Points whose tail falls like the fourth power: heavier than the Gumbel law's."""
    return LargestOf(
        "Frechet, index 4", n_samples, np.inf, _batches(lambda g, size: g.pareto(4, size), n_samples), n_samples
    )


def tied(n_samples: int, values: int = 60) -> LargestOf:
    """A piecewise constant quantity: a beta law rounded up to so many values."""

    def points(generator: np.random.Generator, size: tuple[int, int]) -> Array:
        found: Array = np.ceil(values * generator.beta(3, 4, size)) / values
        return found

    return LargestOf(f"beta(3, 4), {values} values", n_samples, 1.0, _batches(points, n_samples), n_samples)


def pool(name: str, values: NDArray[np.float32], n_samples: int) -> LargestOf:
    """Points of a pool, without replacement within a sample; the end is the pool's largest value.

    A sample that holds it has no interval that does, since all intervals begin beyond the sample maximum.
    """

    def draw(generator: np.random.Generator, n_batches: int) -> Array:
        chosen = generator.choice(values, (n_batches, n_samples), replace=False, shuffle=False)
        return _kept(chosen.astype(np.float64))

    told = f"gradient norms, {name}, pool of {len(values)}"
    return LargestOf(told, n_samples, float(values.max()), draw, n_samples, points=len(values))


def _batches(
    points: Callable[[np.random.Generator, tuple[int, int]], Array], n_samples: int
) -> Callable[[np.random.Generator, int], Array]:
    return lambda generator, n_batches: _kept(points(generator, (n_batches, n_samples)))


def _kept(batches: Array) -> Array:
    largest: Array = -np.sort(-np.partition(batches, -KEPT, axis=1)[:, -KEPT:], axis=1)
    return largest


def all_laws() -> list[LargestOf]:
    """The laws of the benchmarks but for pools."""
    found = [reverse_weibull(shape, 1024) for shape in (1.5, 2.0, 5.0, 15.0, np.inf)]
    found += [beta(n_samples) for n_samples in (32, 128, 1024)]
    return [*found, frechet(128), tied(128)]


def cells(pool_files: Sequence[Path], sizes: Sequence[int] = SIZES) -> list[tuple[LargestOf, int]]:
    """Each law with each N_b, those of pools where half of the pool is enough for a sample."""
    found = [(law, n) for law in all_laws() for n in sizes]
    for file in pool_files:
        norms = np.load(file)
        of_pool = [pool(file.stem, norms, n_samples) for n_samples in (32, 128, 1024)]
        found += [(law, n) for law in of_pool for n in sizes if 2 * law.n_samples * n <= len(norms)]
    return found


def affordable(law: LargestOf, n_batches: int, samples: int, least: int) -> int:
    """How many samples to draw: those asked for, fewer where they take many numbers, ``least`` anyway."""
    return max(least, min(samples, int(MOST / (law.numbers * n_batches))))
