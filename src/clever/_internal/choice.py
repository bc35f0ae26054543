"""Settings that are one of a few names."""

import re
from enum import StrEnum
from typing import Self

from clever.errors import InputError


class Choice(StrEnum):
    """Names to choose from; each is the text itself, so that a configuration can hold it."""

    @classmethod
    def parse(cls, name: object) -> Self:
        """The choice of that name, in upper or lower case; `InputError` with the valid names for any other."""
        for choice in cls:
            if choice.value.lower() == str(name).lower():
                return choice
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
        raise InputError(f"unknown {kind} {name!r}: it must be one of {', '.join(cls)}")
