"""One-line descriptions of defenses, from their run records."""

from collections.abc import Mapping
from typing import Any

from pipeline.shared.text.recorded import CLASS

NOT_SHOWN = (CLASS, "seed")
UNDEFENDED = "Identity"
"""Class name of the identity transformation."""


def defense_name(defense: Mapping[str, Any]) -> str:
    """Class name of a defense."""
    return str(defense[CLASS]).rpartition(".")[2]


def is_undefended(defense: Mapping[str, Any]) -> bool:
    """Whether the defense is the identity."""
    return defense_name(defense).lower() == UNDEFENDED.lower()


def describe_defense(defense: Mapping[str, Any]) -> str:
    """Name and parameters of a defense, including nested defenses, without seeds."""
    settings = ", ".join(f"{key} {_setting(value)}" for key, value in defense.items() if key not in NOT_SHOWN)
    return f"{defense_name(defense)} ({settings})" if settings else defense_name(defense)


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return " then ".join(map(_setting, value))
    return describe_defense(value) if isinstance(value, dict) else str(value)
