"""Which images of a data set to use, and in which order: as a list says, or as the seed says."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Protocol, TypeVar

import numpy as np

from clever.errors import InputError


class Named(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> str:
        """Unique within the data set."""
        ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


def require(count: int, found: Sequence[object], where: str) -> None:
    """`InputError` where fewer images are found than ``data.n_images`` asks for."""
    if len(found) < count:
        raise InputError(
            f"data.n_images is {count}, but {where} {len(found)} images: data.n_images={len(found)} takes all"
        )


def choose(found: Sequence[AnyNamed], ids: Sequence[str] | None, seed: int) -> list[AnyNamed]:
    """The entries in the order in which to use them: as the ids say, or without ids all of them, shuffled by the seed.

    The shuffle depends on the set of ids and on the seed only, so the first N are the same sample on every machine.
    """
    by_id = {entry.id: entry for entry in found}
    if ids is None:
        if seed < 0:
            raise InputError(f"seed {seed} is negative; valid are 0, 1, 2, ...")
        ordered = sorted(by_id)
        return [by_id[ordered[i]] for i in np.random.default_rng(seed).permutation(len(ordered))]
    if not ids:
        raise InputError("the list of ids is empty; name at least one, or give no list to choose by seed")
    for wanted, times in Counter(ids).items():
        if not isinstance(wanted, str):
            raise InputError(f"the id {wanted!r} is a number to YAML; write it in quotes")
        if times > 1:
            raise InputError(f"the id {wanted!r} is listed {times} times; name each image once")
        if wanted not in by_id:
            near = ", ".join(get_close_matches(wanted, by_id, n=3, cutoff=0))
            raise InputError(f"no image has the id {wanted!r}; near ones are {near or 'none'}")
    return [by_id[wanted] for wanted in ids]
