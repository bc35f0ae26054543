"""ImageNet's validation images, labelled: all that a folder holds, and which of them to use."""

import os
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import numpy as np

from clever.errors import InputError
from pipeline.prepare.imagenet_layouts import LAYOUTS, Entry

__all__ = ["Entry", "choose", "entries"]

#: Where under the root the images may lie: there, or in torchvision's, the authors' or Kaggle's folder.
FOLDERS = ("", "val", "imgs", "ILSVRC/Data/CLS-LOC/val")


def entries(root: Path) -> list[Entry]:
    """Every labelled image under the root, sorted by id, ids unique; images are listed, not opened.

    An id depends on the image's own name (and class folder) only: a file of the validation set has the same id in every
    layout, and no file that comes or goes changes another's id. Where two layouts are present, class folders win.
    """
    root = Path(os.path.abspath(root.expanduser()))
    if not root.is_dir():
        raise InputError(
            f"the ImageNet folder {root} does not exist or is no folder; valid is one that holds {_valid()}"
        )
    try:
        found = _find(root)
        names = [] if found else sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not found:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise InputError(f"no labelled image in {root}, which holds {shown or 'nothing'}; valid is {_valid()}")
    found.sort(key=lambda entry: (entry.id, entry.source))
    for one, other in pairwise(found):
        if one.id == other.id:
            raise InputError(f"{one.source} and {other.source} are both the image {one.id}; keep one of them")
    return found


def choose(found: Sequence[Entry], ids: Sequence[str] | None, seed: int) -> list[Entry]:
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


def _valid() -> str:
    return "; or ".join(LAYOUTS) + f" (there or in {', '.join(FOLDERS[1:])})"


def _find(root: Path) -> list[Entry]:
    folders = [root / folder for folder in FOLDERS if (root / folder).is_dir()]
    found = (layout(root, folder) for layout in LAYOUTS.values() for folder in folders)
    return next(filter(None, found), [])
