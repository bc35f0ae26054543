"""Checks that settings of all kinds share; `InputError` names the bad value and the valid ones."""

from clever.errors import InputError


def require_int(name: str, value: object, least: int, most: int | None = None) -> None:
    """A whole number from ``least`` up, or to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        reach = f"from {least} up" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is {value!r}: it must be a whole number {reach}")


def require_bool(name: str, value: object) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}: it must be true or false")


def is_number(value: object) -> bool:
    """A number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
