"""Messages for errors of Hydra and OmegaConf: one line with the invalid value and the valid ones."""

from dataclasses import is_dataclass
from typing import get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from clever.errors import InputError

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
GROUP = "a group of settings, see conf/config.yaml"


def explain(error: BaseException) -> str:
    """Message for an error: that of an `InputError` among its causes, else the valid values, else all messages."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    for cause in causes:
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None:
            if isinstance(cause, ConfigKeyError | ConfigAttributeError):
                return _unknown(cause)
            if isinstance(cause, ValidationError):
                return f"{cause.full_key} is {cause.value!r}: it must be {_valid_type(cause)}"
    return "\n".join(dict.fromkeys(map(str, causes)))


def _unknown(error: OmegaConfBaseException) -> str:
    parent = str(error.full_key).rpartition(".")[0]
    valid = sorted(str(key) for key in error.parent_node or () if key != "hydra")
    return f"unknown setting {error.full_key}: {parent or 'the top level'} has {', '.join(valid) or 'no settings'}"


def _valid_type(error: OmegaConfBaseException) -> str:
    """The type that the schema requires, in words."""
    schema = OmegaConf.get_type(error.parent_node)
    hint = get_type_hints(schema).get(str(error.key)) if is_dataclass(schema) else None
    null = type(None) in get_args(hint)
    hint = next((kind for kind in get_args(hint) if kind is not type(None)), hint) if null else hint
    group = is_dataclass(hint) or get_origin(hint) is dict
    return (GROUP if group else KINDS.get(hint, "of another type")) + " or null" * null  # type: ignore[arg-type]
