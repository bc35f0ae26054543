"""ImageNet's validation images, labelled: all that a folder holds."""

import os
from itertools import pairwise
from pathlib import Path

from clever.errors import InputError
from pipeline.prepare.choice import choose
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


def _valid() -> str:
    return "; or ".join(LAYOUTS) + f" (there or in {', '.join(FOLDERS[1:])})"


def _find(root: Path) -> list[Entry]:
    folders = [root / folder for folder in FOLDERS if (root / folder).is_dir()]
    found = (layout(root, folder) for layout in LAYOUTS.values() for folder in folders)
    return next(filter(None, found), [])
