"""The store's folder for one image and ball: files of batch maxima, indexed by target class and batch."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from itertools import groupby
from pathlib import Path

from clever.sampling.maxima import BatchMaxima
from pipeline.shared.store import kept

BatchKey = tuple[int, int]
"""A target class and the index of a batch."""
STALE_AFTER = 3600.0
"""Age in seconds at which a temporary file is deleted, as its process must have been killed."""

RETRY_DELAYS = (0.0, 0.1, 0.5, 2.0)
"""Seconds to wait before reading the folder again when a listed file is gone; missing batches are then recomputed."""


class BatchFiles:
    """The batch maxima in one folder, which any number of processes may use at once.

    Files appear complete and are only ever replaced by one file with the same content, so anything read stays valid.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: dict[BatchKey, BatchMaxima] = {}
        self.files: dict[str, set[BatchKey]] = {}

    def refresh(self) -> None:
        """Reads files added since the last call, including those of other processes."""
        for delay in RETRY_DELAYS:
            try:
                for name in self._names():
                    if name not in self.files:
                        self.files[name] = self._read(name)
                return
            except FileNotFoundError:  # compacted by another process; a shared disk may still list it for a while
                time.sleep(delay)

    def missing(self, targets: Sequence[int], batches: range) -> list[tuple[range, list[int]]]:
        """Consecutive batches that lack the same targets, with these targets, after reading new files."""
        missing = list(self._missing(targets, batches))
        if missing:
            self.refresh()
            missing = list(self._missing(targets, batches))
        return missing

    def _missing(self, targets: Sequence[int], batches: range) -> Iterator[tuple[range, list[int]]]:
        absent = {batch: tuple(t for t in targets if (t, batch) not in self.loaded) for batch in batches}
        for lacking, run in groupby(batches, key=absent.__getitem__):
            consecutive = list(run)
            if lacking:
                yield range(consecutive[0], consecutive[-1] + 1), list(lacking)

    def add(self, batches: range, targets: Sequence[int], maxima: BatchMaxima) -> None:
        """Saves maxima to disk, then keeps them in memory."""
        name = _name(targets, batches)
        arrays = {"start": batches.start, "targets": list(targets)} | vars(maxima)
        kept.save_verified(self.folder / name, self.folder.name, arrays)
        self.files[name] = self._load(batches, targets, maxima)

    def compact(self, targets: Sequence[int], batches: range) -> None:
        """Merges files that hold only these batches into one, so that 50,000 images do not take millions of files."""
        keys = {(target, batch) for target in targets for batch in batches}
        parts = [name for name, contained in self.files.items() if contained <= keys]
        if len(parts) > 1:
            merged = _name(targets, batches)
            if self.files.get(merged) != keys:
                self.add(batches, targets, self.maxima(targets, batches))
            for name in set(parts) - {merged}:
                (self.folder / name).unlink(missing_ok=True)
                self.files.pop(name)

    def maxima(self, targets: Sequence[int], batches: range) -> BatchMaxima:
        """Arrays (batch, target, column, kept); all of these batches must be loaded."""
        rows = [BatchMaxima.concatenate([self.loaded[target, batch] for batch in batches]) for target in targets]
        return BatchMaxima.concatenate(rows, axis=1)

    def _names(self) -> list[str]:
        names = []
        if self.folder.is_dir():
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".npz"):
                        names.append(entry.name)
                    elif ".npz." in entry.name:
                        with suppress(OSError):  # another process may have deleted it
                            if time.time() - entry.stat().st_mtime > STALE_AFTER:
                                (self.folder / entry.name).unlink()
        return sorted(names)

    def _read(self, name: str) -> set[BatchKey]:
        arrays = kept.load_verified(self.folder / name, self.folder.name)
        if arrays is None:
            return set()
        maxima = BatchMaxima(*(arrays[field.name] for field in fields(BatchMaxima)))  # type: ignore[arg-type]
        start = int(arrays["start"])
        return self._load(range(start, start + len(maxima.value)), arrays["targets"].tolist(), maxima)

    def _load(self, batches: range, targets: Sequence[int], maxima: BatchMaxima) -> set[BatchKey]:
        loaded = {
            (target, batch): maxima.select(row, column)
            for row, batch in enumerate(batches)
            for column, target in enumerate(targets)
        }
        self.loaded |= loaded
        return set(loaded)


def _name(targets: Sequence[int], batches: range) -> str:
    classes = hashlib.sha256(str(list(targets)).encode()).hexdigest()[:8]
    return f"{batches.start:06d}-{batches.stop - 1:06d}-{classes}.npz"
