"""Settings in the form of run records and cache keys: classes by name, so that moving a module changes nothing."""

from collections.abc import Collection, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

CLASS = "class"
"""Replaces `TARGET` in records; a Python keyword, so it cannot clash with an argument name."""
TARGET = "_target_"
PROJECT = ("clever.", "pipeline.")
MISSING = "???"


def to_record(settings: Any) -> Any:
    """Plain containers, with ``_target_: clever.defenses.jpeg.defense.JPEG`` written as ``class: JPEG``.

    Classes from outside this project keep their full path.
    """
    if OmegaConf.is_config(settings):
        settings = OmegaConf.to_container(settings, resolve=True)
    if isinstance(settings, Mapping):
        return {_key(key): class_name(value) if key == TARGET else to_record(value) for key, value in settings.items()}
    return [to_record(item) for item in settings] if isinstance(settings, list) else settings


def group_to_record(group: DictConfig, without: Collection[str] = ()) -> dict[str, Any]:
    """The record of a group of settings except those in ``without``, which may be missing or unresolvable."""
    values = {
        str(name): MISSING if OmegaConf.is_missing(group, name) else group[name]
        for name in group
        if _key(name) not in without
    }
    return to_record(values)  # type: ignore[no-any-return]


def class_name(path: Any) -> Any:
    """The bare name of a class or function of this project; the full path of any other, and what is no path."""
    return path.rpartition(".")[2] if isinstance(path, str) and path.startswith(PROJECT) else path


def _key(name: Any) -> Any:
    return CLASS if name == TARGET else name
