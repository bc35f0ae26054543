"""Arguments that `clever.score` and `clever.attack` share; each function raises `InputError`."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

from clever.errors import InputError
from clever.norms import Norm


def as_list(value: Any) -> list[Any]:
    """A list of one string or number, or of the items of an iterable."""
    return [value] if isinstance(value, str | Integral) else list(value)


def norm_list(norms: Any) -> list[Norm]:
    """The norms with these names, at least one."""
    parsed = [Norm.parse(norm) for norm in as_list(norms)]
    if not parsed:
        raise InputError(f"no norm: choose from {', '.join(Norm)}")
    return parsed


def name_tuple(names: Iterable[str] | None, images: int) -> tuple[str, ...]:
    """The names of the images, one for each, or none."""
    given = tuple(names or ())
    if given and len(given) != images:
        raise InputError(f"{len(given)} names for {images} images: there must be one for each, or none")
    return given
