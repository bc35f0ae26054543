"""The store of batch maxima, which saves sampled results for every later run that needs the same numbers."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clever._internal.capacity import Capacity
from clever._internal.checks import require_int
from clever.sampling.maxima import BallSampler, BatchMaxima, batch_maxima, chunks
from clever.sampling.samplers import MeasureFactory
from pipeline.score.batch_files import BatchFiles
from pipeline.shared.app.artifacts import write_text
from pipeline.shared.store import kept


class Store:
    """A sampler that computes only batches that no earlier or concurrent run has finished.

    One folder (`BatchFiles`) holds all targets and batches with the same cache key: image, network, transformation,
    BPDA, order, version of the numbers, predicted class, ball, N_s, seed, clipping, segments, precision, kind of
    device. Each chunk of batches is written as soon as it is computed: a killed process loses only its current chunk,
    and any number of processes can share a store.

    Callbacks: ``compute`` and ``find`` receive the number of points (counted once per target) that were computed or
    read, ``spend`` the seconds of computation.
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
        self.files = BatchFiles(path)

    def __call__(
        self,
        make_measure: MeasureFactory,
        ball_sampler: BallSampler,
        predicted: int,
        targets: Sequence[int],
        batches: range,
    ) -> BatchMaxima:
        """Arrays (batch, target, column, kept), as `clever.sampling.samplers.Sampler` returns them."""
        files = self._files(ball_sampler, predicted)
        for chunk in chunks(batches, ball_sampler.n_samples, self.chunk_points):
            missing = files.missing(targets, chunk)
            lacking = sum(len(run) * len(some) for run, some in missing)
            self.find(ball_sampler.n_samples * (len(chunk) * len(targets) - lacking))
            for run, some in missing:
                self.capacity = self.capacity or Capacity.estimate(make_measure(targets[:1]), ball_sampler.centre)
                started = time.perf_counter()
                maxima = batch_maxima(make_measure(some), ball_sampler, run, self.capacity, self.compute)
                self.spend(time.perf_counter() - started)
                files.add(run, some, maxima)
        files.compact(targets, batches)
        return files.maxima(targets, batches)

    def _files(self, ball_sampler: BallSampler, predicted: int) -> BatchFiles:
        """The files for this cache key; reuses those of the last call, so that nothing is read twice."""
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
        if self.files.folder != folder:
            self.files = BatchFiles(folder)
            if not (folder / "key.json").exists():
                write_text(folder / "key.json", json.dumps(key, indent=2, sort_keys=True))
        return self.files
