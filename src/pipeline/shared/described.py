"""A defense in one line, for people to read."""

from typing import Any

from pipeline.shared.recorded import CLASS

UNTOLD = (CLASS, "seed")
UNDEFENDED = "Identity"
"""How the transformation that changes nothing is described."""


def described(defense: dict[str, Any]) -> str:
    """Name and settings of a defense as its run tells it; those within it likewise, without what draws the numbers."""
    name = str(defense[CLASS]).rpartition(".")[2]
    settings = ", ".join(f"{key} {_setting(value)}" for key, value in defense.items() if key not in UNTOLD)
    return f"{name} ({settings})" if settings else name


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return " then ".join(map(_setting, value))
    return described(value) if isinstance(value, dict) else str(value)
