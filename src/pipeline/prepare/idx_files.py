"""Finds MNIST's four files, packed or not, in one of two folders; torchvision needs them unpacked in ``NAME/raw``."""

import gzip
import shutil
import zlib
from pathlib import Path

from clever.errors import InputError

IDX_SETS = ("MNIST", "FashionMNIST", "KMNIST")
FILES = tuple(f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))


def unpacked(name: str, root: Path, folder: Path) -> Path:
    """A root in which torchvision finds the files: the given one, or ``folder`` after unpacking the files into it.

    The files may be in ``root/NAME/raw`` or in the root itself, each with or without .gz. If a file is missing, the
    root itself is returned, so that torchvision reports or downloads the file. `InputError` for a damaged .gz.
    """
    raw = Path(name, "raw")
    if all((root / raw / file).is_file() for file in FILES):
        return root
    for place in (root / raw, root):
        sources = [_either(place / file) for file in FILES]
        if None not in sources:
            (folder / raw).mkdir(parents=True)
            for file, source in zip(FILES, sources, strict=True):
                assert source is not None
                _copy(source, folder / raw / file)
            return folder
    return root


def _either(path: Path) -> Path | None:
    packed = path.with_name(f"{path.name}.gz")
    return path if path.is_file() else packed if packed.is_file() else None


def _copy(source: Path, target: Path) -> None:
    if source.suffix != ".gz":
        target.symlink_to(source.absolute())
        return
    try:
        with gzip.open(source) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{source} is damaged: {error}") from error
