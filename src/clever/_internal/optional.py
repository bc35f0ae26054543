"""Packages that the library can do without, imported when they are asked for."""

from importlib import import_module
from typing import Any

EXTRAS = {"pandas": "frame", "matplotlib": "plot"}
"""The extra of this package that installs each of them."""


def extra(package: str, purpose: str, module: str = "") -> Any:
    """The package, or a ``module`` of it; `ImportError` that names the extra where it is not installed."""
    try:
        return import_module(module or package)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {package}, which is not installed: pip install {package} "
            f"(or this package with its extra {EXTRAS[package]!r})"
        ) from error
