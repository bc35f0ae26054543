"""Settings as records and keys have them: with names of classes that no move of a module changes."""

from collections.abc import Collection, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

CLASS = "class"
"""Takes the place of `TARGET`; a word of Python's, so that no argument can have this name."""
TARGET = "_target_"
PROJECT = ("clever.", "pipeline.")
MISSING = "???"


def to_record(settings: Any) -> Any:
    """Plain containers with ``_target_: clever.defenses.jpeg.defense.JPEG`` as ``class: JPEG``; of others the full
    path.
    """
    if OmegaConf.is_config(settings):
        settings = OmegaConf.to_container(settings, resolve=True)
    if isinstance(settings, Mapping):
        return {_key(key): class_name(value) if key == TARGET else to_record(value) for key, value in settings.items()}
    return [to_record(one) for one in settings] if isinstance(settings, list) else settings


def group_to_record(group: DictConfig, without: Collection[str] = ()) -> dict[str, Any]:
    """A group of settings as `recorded`; those ``without`` need not be given, nor what they are made of."""
    values = {
        str(name): MISSING if OmegaConf.is_missing(group, name) else group[name]
        for name in group
        if _key(name) not in without
    }
    return to_record(values)  # type: ignore[no-any-return]


def class_name(path: str) -> str:
    """Of the project's own class or function its name alone, of another its full path."""
    return path.rpartition(".")[2] if path.startswith(PROJECT) else path


def _key(name: Any) -> Any:
    return CLASS if name == TARGET else name
