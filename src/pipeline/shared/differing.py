"""Settings of this run beside those of the run that made what it reads."""

from collections.abc import Collection, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

MISSING = "???"
ABSENT = "not set"
FEW, LONG = 5, 80
"""Differences that an error tells of, and letters of each value; a sha256 has fewer."""


def plain(group: DictConfig, without: Collection[str] = ()) -> dict[str, Any]:
    """A group of settings as plain containers; those ``without`` need not be given, nor what they are made of."""
    values = {
        str(name): MISSING if OmegaConf.is_missing(group, name) else group[name]
        for name in group
        if name not in without
    }
    return {
        name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for name, value in values.items()
    }


def differences(name: str, here: Any, there: Any) -> list[str]:
    """Each setting below ``name`` that differs, with its value here and there, as plain containers; none if all agree.

    Of two groups that make different things (``_target_``) this alone is told.
    """
    if not (isinstance(here, Mapping) and isinstance(there, Mapping)):
        return [] if here == there else [f"{name} is {_short(here)} here and {_short(there)} there"]
    kinds = [group.get("_target_", ABSENT) for group in (here, there)]
    if kinds[0] != kinds[1]:
        return differences(f"{name}._target_", *kinds)
    keys = [key for key in dict.fromkeys([*here, *there]) if here.get(key, ABSENT) != there.get(key, ABSENT)]
    return [one for key in keys for one in differences(f"{name}.{key}", here.get(key, ABSENT), there.get(key, ABSENT))]


def told(found: list[str]) -> str:
    """The first few of them, in one line."""
    return "; ".join(found[:FEW]) + (f"; and {len(found) - FEW} more" if len(found) > FEW else "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONG else f"{text[:LONG]}..."
