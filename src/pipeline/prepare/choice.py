"""Chooses images of a data set and their order: by a list of ids, or at random by the seed."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Protocol, TypeVar

import numpy as np

from clever.errors import InputError


class Named(Protocol):
    """An object with an id."""

    @property
    def id(self) -> str:
        """Unique within the data set."""
        ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


def require(count: int, found: Sequence[object], where: str) -> None:
    """`InputError` if there are fewer images than ``data.n_images``."""
    if len(found) < count:
        raise InputError(
            f"data.n_images is {count}, but {where} {len(found)} images: data.n_images={len(found)} uses all of them"
        )


def choose(found: Sequence[AnyNamed], ids: Sequence[str] | None, seed: int) -> list[AnyNamed]:
    """The entries with these ids, in this order; without ids, all entries, shuffled by the seed.

    The shuffle depends only on the set of ids and the seed, so the first N are the same sample on every machine.
    """
    by_id = {entry.id: entry for entry in found}
    if ids is None:
        if seed < 0:
            raise InputError(f"seed is {seed}: it must be 0, 1, 2, ...")
        ordered = sorted(by_id)
        return [by_id[ordered[i]] for i in np.random.default_rng(seed).permutation(len(ordered))]
    if not ids:
        raise InputError("the list of ids is empty: list at least one, or omit the list to choose images by the seed")
    for wanted, times in Counter(ids).items():
        if not isinstance(wanted, str):
            raise InputError(f"YAML reads the id {wanted!r} as a number: put it in quotes")
        if times > 1:
            raise InputError(f"the id {wanted!r} is listed {times} times: list each image once")
        if wanted not in by_id:
            near = ", ".join(get_close_matches(wanted, by_id, n=3, cutoff=0))
            raise InputError(f"no image has the id {wanted!r}; similar ids: {near or 'none'}")
    return [by_id[wanted] for wanted in ids]
