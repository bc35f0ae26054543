"""The folder of the store for one image and ball: batch maxima by target class and batch, in files of many."""

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

Cell = tuple[int, int]
"""A target class and a batch."""
FORGOTTEN = 3600.0
"""Seconds after which a file that is still being written belongs to nobody: its process was killed."""

PAUSES = (0.0, 0.1, 0.5, 2.0)
"""Seconds to wait for a listing that agrees with itself; what is not found then is computed anew."""


class Shelf:
    """What the folder's files hold. Any number of processes may use one folder at once.

    Files only come, whole, or are joined to one that holds the same; so whatever was read stays true.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.have: dict[Cell, BatchMaxima] = {}
        self.files: dict[str, set[Cell]] = {}

    def refresh(self) -> None:
        """Reads what has come since the last time, from other processes too."""
        for pause in PAUSES:
            try:
                for name in self._names():
                    if name not in self.files:
                        self.files[name] = self._read(name)
                return
            except FileNotFoundError:  # joined to another one meanwhile; a shared disk may list it a while longer
                time.sleep(pause)

    def missing(self, targets: Sequence[int], batches: range) -> list[tuple[range, list[int]]]:
        """Runs of batches that miss the same targets, and those targets: nobody has finished these so far."""
        found = list(self._missing(targets, batches))
        if found:
            self.refresh()
            found = list(self._missing(targets, batches))
        return found

    def _missing(self, targets: Sequence[int], batches: range) -> Iterator[tuple[range, list[int]]]:
        absent = {batch: tuple(t for t in targets if (t, batch) not in self.have) for batch in batches}
        for some, run in groupby(batches, key=absent.__getitem__):
            together = list(run)
            if some:
                yield range(together[0], together[-1] + 1), list(some)

    def add(self, batches: range, targets: Sequence[int], maxima: BatchMaxima) -> None:
        """Keeps maxima, on disk first."""
        name = _name(targets, batches)
        arrays = {"start": batches.start, "targets": list(targets)} | vars(maxima)
        kept.save_verified(self.folder / name, self.folder.name, arrays)
        self.files[name] = self._hold(batches, targets, maxima)

    def join(self, targets: Sequence[int], batches: range) -> None:
        """Makes one file of those that hold nothing else, so that 50,000 images do not take millions of files."""
        cells = {(target, batch) for target in targets for batch in batches}
        parts = [name for name, held in self.files.items() if held <= cells]
        if len(parts) > 1:
            joined = _name(targets, batches)
            if self.files.get(joined) != cells:
                self.add(batches, targets, self.maxima(targets, batches))
            for name in set(parts) - {joined}:
                (self.folder / name).unlink(missing_ok=True)
                self.files.pop(name)

    def maxima(self, targets: Sequence[int], batches: range) -> BatchMaxima:
        """Arrays (batch, target, column, kept) of what is there."""
        rows = [BatchMaxima.concatenate([self.have[target, batch] for batch in batches]) for target in targets]
        return BatchMaxima.concatenate(rows, axis=1)

    def _names(self) -> list[str]:
        names = []
        if self.folder.is_dir():
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".npz"):
                        names.append(entry.name)
                    elif ".npz." in entry.name:
                        with suppress(OSError):  # another process may have swept it away
                            if time.time() - entry.stat().st_mtime > FORGOTTEN:
                                (self.folder / entry.name).unlink()
        return sorted(names)

    def _read(self, name: str) -> set[Cell]:
        arrays = kept.load_verified(self.folder / name, self.folder.name)
        if arrays is None:
            return set()
        maxima = BatchMaxima(*(arrays[field.name] for field in fields(BatchMaxima)))  # type: ignore[arg-type]
        start = int(arrays["start"])
        return self._hold(range(start, start + len(maxima.value)), arrays["targets"].tolist(), maxima)

    def _hold(self, batches: range, targets: Sequence[int], maxima: BatchMaxima) -> set[Cell]:
        held = {
            (target, batch): maxima.select(row, column)
            for row, batch in enumerate(batches)
            for column, target in enumerate(targets)
        }
        self.have |= held
        return set(held)


def _name(targets: Sequence[int], batches: range) -> str:
    classes = hashlib.sha256(str(list(targets)).encode()).hexdigest()[:8]
    return f"{batches.start:06d}-{batches.stop - 1:06d}-{classes}.npz"
