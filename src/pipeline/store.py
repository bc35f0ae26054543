"""The store of batch maxima: what sampling costs, kept for every run that needs the same numbers again."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import numpy as np

from clever.capacity import Capacity
from clever.errors import InputError
from clever.maxima import BatchMaxima, Site, batch_maxima, chunks
from clever.samplers import MeasureOf
from pipeline.artifacts import write_atomically

FORMAT = 2
"""Of the files, to be raised when their content changes."""

Cell = tuple[int, int]
"""A target class and a batch."""


class Store:
    """A sampler that computes only what no run before it has finished.

    A folder stands for all that decides the numbers but target and batch: image, network, transformation, BPDA, order,
    code, predicted class, ball, N_s, seed, clipping, precision, kind of device. Its files, a chunk of batches each, are
    there whole or not at all: a kill loses the chunk under way, and any number of processes can share a store. A file
    that is damaged or of another version is named and computed anew.

    ``computed`` and ``found`` hear of points (each counted once a target) as they are computed or read.
    """

    def __init__(
        self,
        path: Path,
        decided_by: dict[str, object],
        chunk_points: int,
        *,
        computed: Callable[[int], object],
        found: Callable[[int], object],
    ) -> None:
        if chunk_points < 1:
            raise InputError(f"chunk_points is {chunk_points}: it must be 1 at least")
        self.path, self.decided_by, self.chunk_points = path, decided_by, chunk_points
        self.computed, self.found = computed, found
        self.capacity: Capacity | None = None

    def __call__(
        self, measure_of: MeasureOf, site: Site, predicted: int, targets: Sequence[int], batches: range
    ) -> BatchMaxima:
        """As `clever.samplers.Sampler`: arrays (batch, target, norm, kept)."""
        folder = self._folder(site, predicted)
        have = self._read(folder)
        wanted = [(target, batch) for target in targets for batch in batches]
        self.found(site.n_samples * sum(cell in have for cell in wanted))
        for run, missing in self._missing(have, targets, batches, site.n_samples):
            measure = measure_of(missing)
            self.capacity = self.capacity or Capacity.of(measure, site.centre)
            maxima = batch_maxima(measure, site, run, self.capacity, self.computed)
            _write(folder, run, missing, maxima)
            have |= _cells(run, missing, maxima)
        rows = [BatchMaxima.joined([have[target, batch] for batch in batches]) for target in targets]
        return BatchMaxima.joined(rows, axis=1)

    def _folder(self, site: Site, predicted: int) -> Path:
        key = self.decided_by | {
            "format": FORMAT,
            "image": site.image,
            "predicted": predicted,
            "norm": str(site.ball.norm),
            "radius": site.ball.radius,
            "law": str(site.ball.law),
            "n_samples": site.n_samples,
            "seed": site.seed,
            "clip": site.clip,
            "dtype": str(site.centre.dtype),
            "device": site.centre.device.type,
        }
        text = json.dumps(key, indent=2, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()
        folder = self.path / "maxima" / name[:2] / name[2:]
        if not (folder / "key.json").exists():
            write_atomically(folder / "key.json", lambda file: file.write(text.encode()))
        return folder

    def _missing(
        self, have: dict[Cell, BatchMaxima], targets: Sequence[int], batches: range, n_samples: int
    ) -> Iterator[tuple[range, list[int]]]:
        """Runs of batches within a chunk that miss the same targets, and those targets."""
        for chunk in chunks(batches, n_samples, self.chunk_points):
            lacking = {batch: tuple(t for t in targets if (t, batch) not in have) for batch in chunk}
            for missing, run in groupby(chunk, key=lacking.__getitem__):
                together = list(run)
                if missing:
                    yield range(together[0], together[-1] + 1), list(missing)

    def _read(self, folder: Path) -> dict[Cell, BatchMaxima]:
        have: dict[Cell, BatchMaxima] = {}
        for path in sorted(folder.glob("*.npz")):
            try:
                with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                    if str(file["folder"]) != folder.name:
                        raise ValueError("it belongs to another folder")
                    maxima = BatchMaxima(*(file[field.name] for field in fields(BatchMaxima)))
                    start, targets = int(file["start"]), file["targets"].tolist()
                have |= _cells(range(start, start + len(maxima.value)), targets, maxima)
            except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as broken:
                print(f"{path} cannot be used and is computed anew: {broken}", file=sys.stderr)
        return have


def _cells(batches: range, targets: Sequence[int], maxima: BatchMaxima) -> dict[Cell, BatchMaxima]:
    return {
        (target, batch): maxima.at(row, column)
        for row, batch in enumerate(batches)
        for column, target in enumerate(targets)
    }


def _write(folder: Path, batches: range, targets: Sequence[int], maxima: BatchMaxima) -> None:
    classes = hashlib.sha256(str(list(targets)).encode()).hexdigest()[:8]
    name = f"{batches.start:06d}-{batches.stop - 1:06d}-{classes}.npz"
    write_atomically(
        folder / name,
        lambda file: np.savez(file, folder=folder.name, start=batches.start, targets=list(targets), **vars(maxima)),
    )
