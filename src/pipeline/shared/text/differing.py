"""Settings of this run beside those of the run that made what it reads."""

from collections.abc import Mapping
from typing import Any

from pipeline.shared.text.recorded import CLASS

ABSENT = "not set"
FEW, LONG = 5, 80
"""Differences that an error tells of, and letters of each value; a sha256 has fewer."""


def differences(name: str, here: Any, there: Any) -> list[str]:
    """Each setting below ``name`` that differs, with its value here and there, both as `recorded`; none if all agree.

    Of two groups that make different things (`CLASS`) this alone is told.
    """
    if not (isinstance(here, Mapping) and isinstance(there, Mapping)):
        return [] if here == there else [f"{name} is {_short(here)} here and {_short(there)} there"]
    kinds = [group.get(CLASS, ABSENT) for group in (here, there)]
    if kinds[0] != kinds[1]:
        return differences(f"{name}.{CLASS}", *kinds)
    keys = [key for key in dict.fromkeys([*here, *there]) if here.get(key, ABSENT) != there.get(key, ABSENT)]
    return [one for key in keys for one in differences(f"{name}.{key}", here.get(key, ABSENT), there.get(key, ABSENT))]


def summarize_differences(found: list[str]) -> str:
    """The first few of them, in one line."""
    return "; ".join(found[:FEW]) + (f"; and {len(found) - FEW} more" if len(found) > FEW else "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONG else f"{text[:LONG]}..."
