"""An experiment: one file of conf/experiment, whose sweep (``hydra.sweeper.params``) says which cells it has."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from clever.errors import InputError

SHARDS = ("shard", "shards")
"""What may be swept beside an experiment: these choose images, they make no other cell."""


@dataclass(frozen=True)
class Cell:
    """One combination of an experiment's sweep: its name, and the overrides that make it."""

    name: str
    overrides: tuple[str, ...]

    @property
    def swept(self) -> dict[str, Any]:
        """The settings that the sweep varies, with this cell's typed values."""
        pairs = (override.partition("=") for override in self.overrides)
        return {key: yaml.safe_load(value) for key, _, value in pairs}


def experiment() -> str | None:
    """The name of the experiment that this run belongs to; None without one."""
    return HydraConfig.get().runtime.choices.get("experiment")


def require_experiment() -> str:
    """The name of the experiment; `InputError` without one."""
    name = experiment()
    if name is None:
        raise InputError("no experiment: choose one, experiment=NAME, NAME a file of conf/experiment")
    return name


def data_set() -> str:
    """The name of the data set that this run uses."""
    return str(HydraConfig.get().runtime.choices["data"])


def output_dir() -> str:
    """Hydra's own folder of this run, for what belongs to no experiment."""
    return str(HydraConfig.get().runtime.output_dir)


def cells() -> list[Cell]:
    """The cells of the experiment, in the order of its sweep; `InputError` without experiment or for two of one name.

    Likewise for a setting of this run that the sweep varies, since each cell has its own. The sweep is read as Hydra's
    own sweeper reads it: every parameter's values, multiplied out, the last one fastest.
    """
    name, swept = require_experiment(), _swept()
    for given in HydraConfig.get().overrides.task:
        _check_free(given.partition("=")[0], swept)
    combinations = list(product(*([f"{key}={value}" for value in values] for key, values in swept.items())))
    if combinations == [()]:
        return [Cell("all", ())]
    found = [Cell(cell_name(overrides), overrides) for overrides in combinations]
    names = [cell.name for cell in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"experiment={name} has two cells called {', '.join(sorted(twice))}: change its sweep")
    return found


def cell_name(overrides: Sequence[str]) -> str:
    """The name of a cell by what its sweep varies: ``defense=jpeg bpda=false`` is "jpeg-no_bpda".

    Choices of a group first, by their names alone; a switch is named where it is off, a number after its setting.
    """
    choices, rest = [], []
    for override in overrides:
        key, _, value = override.partition("=")
        setting = key.rpartition(".")[2]
        if value.lower() in ("true", "false"):  # Hydra's sweeper writes True, a person true
            rest += [f"no_{setting}"] * (value.lower() == "false")
        elif re.fullmatch(r"[A-Za-z]\w*", value) and "." not in key:
            choices.append(value)
        else:
            rest.append(f"{setting}_{value}")
    parts = choices + rest or [override.partition("=")[0] for override in overrides]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))


def cell_label(swept: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """A label of a cell by the swept settings (`Cell.swept`), but for those in ``without``; empty where none is left.

    As `name_of`, but where only switches are left and all are on, these are named.
    """
    kept = {key: value for key, value in swept.items() if key not in without}
    if off := [f"{key}={value}" for key, value in kept.items() if value is not True]:
        return cell_name(off)
    return "-".join(key.rpartition(".")[2] for key in kept)


def job_cell_name() -> str:
    """The name of the cell that this job computes: the experiment's, else the defense's.

    `InputError` where an experiment is a sweep and this run names none of its cells.
    """
    hydra = HydraConfig.get()
    swept, given = _swept(), {override.partition("=")[0]: override for override in hydra.overrides.task}
    if experiment() is None:
        return str(hydra.runtime.choices["defense"])
    if not swept:
        return "all"
    if missing := [key for key in swept if key not in given]:
        example = " ".join(f"{key}={values[0]}" for key, values in swept.items())
        raise InputError(
            f"experiment={experiment()} is a sweep over {', '.join(swept)}, and this run leaves {', '.join(missing)} "
            f"open: -m runs all of it; one cell of it is, for example, {example}"
        )
    return cell_name([given[key] for key in swept])


def check_sweep(config: DictConfig) -> None:
    """`InputError` for a multirun that would mix up the cells of its experiment.

    ``config``: with Hydra's own part, as a callback sees it.
    """
    if config.hydra.runtime.choices.get("experiment") is None:
        return
    overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    for override in overrides:
        _check_free(str(override.key_or_group), config.hydra.sweeper.params or ())
    if others := {str(one.key_or_group) for one in overrides if one.is_sweep_override()} - set(SHARDS):
        raise InputError(
            f"a sweep over {', '.join(sorted(others))} beside the experiment's own: put it into the experiment's "
            "file, or sweep without an experiment"
        )


def _check_free(key: str, swept: Collection[str]) -> None:
    if key in swept:
        raise InputError(
            f"{key} is swept by the experiment itself: 'hydra.sweeper.params.{key}=\"...\"', quoted like this, changes "
            "its values"
        )


def _swept() -> dict[str, list[str]]:
    return _expanded(HydraConfig.get().sweeper.get("params"))


def _expanded(params: DictConfig | None) -> dict[str, list[str]]:
    """The values of each swept parameter."""
    parser, values = OverridesParser.create(), {}
    for key, value in (params or {}).items():
        parsed = parser.parse_override(f"{key!s}={value}")
        texts = parsed.sweep_string_iterator() if parsed.is_sweep_override() else [parsed.get_value_element_as_str()]
        values[str(key)] = list(texts)
    return values
