"""Differences between the settings of this run and those recorded with its input."""

from collections.abc import Mapping
from typing import Any

from pipeline.shared.text.recorded import CLASS

ABSENT = "not set"
FEW, LONG = 5, 80
"""Limits of an error message: differences listed, characters per value (a sha256 fits)."""


def differences(name: str, here: Any, there: Any) -> list[str]:
    """List every setting below ``name`` that differs between two records (`to_record`).

    ``here``: of this run. ``there``: of the input. For groups of different classes (`CLASS`), only the class is listed.
    """
    if not (isinstance(here, Mapping) and isinstance(there, Mapping)):
        return [] if here == there else [f"{name} is {_short(here)} here and {_short(there)} there"]
    kinds = [group.get(CLASS, ABSENT) for group in (here, there)]
    if kinds[0] != kinds[1]:
        return differences(f"{name}.{CLASS}", *kinds)
    keys = [key for key in dict.fromkeys([*here, *there]) if here.get(key, ABSENT) != there.get(key, ABSENT)]
    return [
        difference
        for key in keys
        for difference in differences(f"{name}.{key}", here.get(key, ABSENT), there.get(key, ABSENT))
    ]


def summarize_differences(found: list[str]) -> str:
    """The first `FEW` differences in one line."""
    return "; ".join(found[:FEW]) + (f"; and {len(found) - FEW} more" if len(found) > FEW else "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONG else f"{text[:LONG]}..."
