"""Argument checks; `InputError` names the bad value and the valid ones."""

from clever.errors import InputError


def require_int(name: str, value: object, least: int, most: int | None = None) -> None:
    """`InputError` unless the value is an integer of at least ``least`` and, if given, at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is {value!r}: it must be a whole number {limits}")


def require_bool(name: str, value: object) -> None:
    """`InputError` unless the value is a bool."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}: it must be true or false")


def is_number(value: object) -> bool:
    """Whether the value is an int or float; a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
