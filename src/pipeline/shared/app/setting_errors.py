"""Errors of Hydra and OmegaConf about a setting, in one line that names the bad value and what is valid."""

from dataclasses import is_dataclass
from typing import get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from clever.errors import InputError

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
GROUP = "a group of settings, as conf/config.yaml has it"


def explain(error: BaseException) -> str:
    """Of an `InputError` among the error's causes its message, for a setting what would be valid, else all messages."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    for one in causes:
        if isinstance(one, InputError):
            return str(one)
        if isinstance(one, OmegaConfBaseException) and one.parent_node is not None:
            if isinstance(one, ConfigKeyError | ConfigAttributeError):
                return _unknown(one)
            if isinstance(one, ValidationError):
                return f"{one.full_key} is {one.value!r}: it must be {_kind(one)}"
    return "\n".join(dict.fromkeys(map(str, causes)))


def _unknown(error: OmegaConfBaseException) -> str:
    parent = str(error.full_key).rpartition(".")[0]
    valid = sorted(str(key) for key in error.parent_node or () if key != "hydra")
    return f"unknown setting {error.full_key}: {parent or 'the top level'} has {', '.join(valid) or 'no settings'}"


def _kind(error: OmegaConfBaseException) -> str:
    """What the schema asks for."""
    schema = OmegaConf.get_type(error.parent_node)
    hint = get_type_hints(schema).get(str(error.key)) if is_dataclass(schema) else None
    null = type(None) in get_args(hint)
    hint = next((one for one in get_args(hint) if one is not type(None)), hint) if null else hint
    group = is_dataclass(hint) or get_origin(hint) is dict
    return (GROUP if group else KINDS.get(hint, "of another type")) + " or null" * null  # type: ignore[arg-type]
