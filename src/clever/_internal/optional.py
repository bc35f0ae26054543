"""Optional dependencies, imported on first use."""

from importlib import import_module
from typing import Any

EXTRAS = {"pandas": "frame", "matplotlib": "plot"}
"""Optional dependency -> extra of this package that installs it."""


def import_extra(package: str, purpose: str, module: str = "") -> Any:
    """The package, or its submodule ``module``; `ImportError` with the extra to install if it is missing."""
    try:
        return import_module(module or package)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {package}, which is not installed: pip install {package} "
            f"(or this package with its extra {EXTRAS[package]!r})"
        ) from error
