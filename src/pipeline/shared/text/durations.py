"""Durations as text."""


def format_duration(seconds: float) -> str:
    """The duration in a suitable unit, with one decimal."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds > 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"
