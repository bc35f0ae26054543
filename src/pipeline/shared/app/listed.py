"""Settings that are lists."""

from typing import Any

from omegaconf import ListConfig

from clever.errors import InputError
from clever.norms import Norm


def parse_list(values: object, name: str) -> list[str | int]:
    """A list from the configuration, or the one value given in its place."""
    parse_list: list[Any] = list(values) if isinstance(values, ListConfig) else [values]
    if not parse_list or any(isinstance(value, bool) or not isinstance(value, str | int) for value in parse_list):
        raise InputError(f"{name} is {values!r}: it must be a list of names, as in {name}=[...]")
    return parse_list


def parse_norms(values: object, name: str) -> list[Norm]:
    """The norms of such a list, by their names in upper or lower case."""
    return [Norm.parse(str(value)) for value in parse_list(values, name)]
