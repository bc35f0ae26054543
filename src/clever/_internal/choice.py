"""Enumerations of setting values."""

import re
from enum import StrEnum
from typing import Self

from clever.errors import InputError


class Choice(StrEnum):
    """Base class of string enumerations; members are strings, so that a configuration can hold them."""

    @classmethod
    def parse(cls, name: object) -> Self:
        """The member with that name, ignoring case; `InputError` with the valid names if there is none."""
        for choice in cls:
            if choice.value.lower() == str(name).lower():
                return choice
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
        raise InputError(f"unknown {kind} {name!r}: it must be one of {', '.join(cls)}")
