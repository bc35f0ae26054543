"""The store of batch maxima: what sampling costs, kept for every run that needs the same numbers again."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clever._internal.capacity import Capacity
from clever._internal.checks import require_int
from clever.sampling.maxima import BallSampler, BatchMaxima, batch_maxima, chunks
from clever.sampling.samplers import MeasureFactory
from pipeline.score.shelf import Shelf
from pipeline.shared.app.artifacts import write_text
from pipeline.shared.store import kept


class Store:
    """A sampler that computes only what no other run has finished, before this one or at the same time.

    A folder (`Shelf`) stands for all that decides the numbers but target and batch: image, network, transformation,
    BPDA, order, version of the numbers, predicted class, ball, N_s, seed, clipping, segments, precision, kind of
    device. Each chunk of batches is written as soon as it is computed: a kill loses the chunk under way, and any number
    of processes share a store.

    ``compute`` and ``find`` hear of points (each counted once a target) as they are computed or read, ``spend`` of the
    seconds that computing took.
    """

    def __init__(
        self,
        path: Path,
        key: dict[str, object],
        chunk_points: int,
        *,
        compute: Callable[[int], object],
        find: Callable[[int], object],
        spend: Callable[[float], object] = float,
    ) -> None:
        require_int("chunk_points", chunk_points, 1)
        self.path, self.key, self.chunk_points = path, key, chunk_points
        self.compute, self.find, self.spend = compute, find, spend
        self.capacity: Capacity | None = None
        self.shelf = Shelf(path)

    def __call__(
        self,
        make_measure: MeasureFactory,
        ball_sampler: BallSampler,
        predicted: int,
        targets: Sequence[int],
        batches: range,
    ) -> BatchMaxima:
        """As `clever.sampling.samplers.Sampler`: arrays (batch, target, column, kept)."""
        shelf = self._shelf(ball_sampler, predicted)
        for chunk in chunks(batches, ball_sampler.n_samples, self.chunk_points):
            missing = shelf.missing(targets, chunk)
            lacking = sum(len(run) * len(some) for run, some in missing)
            self.find(ball_sampler.n_samples * (len(chunk) * len(targets) - lacking))
            for run, some in missing:
                self.capacity = self.capacity or Capacity.estimate(make_measure(targets[:1]), ball_sampler.centre)
                began = time.perf_counter()
                maxima = batch_maxima(make_measure(some), ball_sampler, run, self.capacity, self.compute)
                self.spend(time.perf_counter() - began)
                shelf.add(run, some, maxima)
        shelf.join(targets, batches)
        return shelf.maxima(targets, batches)

    def _shelf(self, ball_sampler: BallSampler, predicted: int) -> Shelf:
        """The one of the last call where that was about the same, so that nothing is read twice."""
        key = self.key | {
            "image": ball_sampler.image,
            "predicted": predicted,
            "norm": str(ball_sampler.ball.norm),
            "radius": ball_sampler.ball.radius,
            "law": str(ball_sampler.ball.law),
            "n_samples": ball_sampler.n_samples,
            "seed": ball_sampler.seed,
            "clip": ball_sampler.clip,
            "segments": ball_sampler.transform is not None,
            "dtype": str(ball_sampler.centre.dtype),
            "device": ball_sampler.centre.device.type,
        }
        name = kept.cache_key(key)
        folder = self.path / "maxima" / name[:2] / name[2:]
        if self.shelf.folder != folder:
            self.shelf = Shelf(folder)
            if not (folder / "key.json").exists():
                write_text(folder / "key.json", json.dumps(key, indent=2, sort_keys=True))
        return self.shelf
