"""Parsing of settings that are lists."""

from typing import Any

from omegaconf import ListConfig

from clever.errors import InputError
from clever.norms import Norm


def parse_list(values: object, name: str) -> list[str | int]:
    """The items of a list setting; a single value counts as a list of one."""
    items: list[Any] = list(values) if isinstance(values, ListConfig) else [values]
    if not items or any(isinstance(item, bool) or not isinstance(item, str | int) for item in items):
        raise InputError(f"{name} is {values!r}: it must be a list of names, as in {name}=[...]")
    return items


def parse_norms(values: object, name: str) -> list[Norm]:
    """The norms of a list setting; names are case-insensitive."""
    return [Norm.parse(str(value)) for value in parse_list(values, name)]
