"""Experiments: a file of conf/experiment each, whose sweep (``hydra.sweeper.params``) defines its cells."""

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
from pipeline.shared.app.schema import parse_boolean

SHARDS = ("shard", "shards")
"""Settings that may be swept in addition to the experiment's sweep: they choose images and define no new cell."""


@dataclass(frozen=True)
class Cell:
    """One combination of an experiment's sweep: its name and its overrides."""

    name: str
    overrides: tuple[str, ...]

    @property
    def swept(self) -> dict[str, Any]:
        """The swept settings with this cell's typed values."""
        pairs = (override.partition("=") for override in self.overrides)
        return {key: _typed(key, value) for key, _, value in pairs}


def experiment() -> str | None:
    """Name of the current experiment; None if there is none."""
    return HydraConfig.get().runtime.choices.get("experiment")


def require_experiment() -> str:
    """Name of the current experiment; `InputError` if there is none."""
    name = experiment()
    if name is None:
        raise InputError("no experiment was chosen: add experiment=NAME, where NAME is a file of conf/experiment")
    return name


def data_set() -> str:
    """Name of the data set of this run."""
    return str(HydraConfig.get().runtime.choices["data"])


def output_dir() -> str:
    """Hydra's output folder, for runs without an experiment."""
    return str(HydraConfig.get().runtime.output_dir)


def cells() -> list[Cell]:
    """The cells of the experiment, in the order of its sweep.

    The sweep is expanded as by Hydra's basic sweeper: the Cartesian product, with the last parameter varying fastest.
    `InputError` without an experiment, for two cells of the same name, and for a command-line override of a swept
    setting.
    """
    name, swept = require_experiment(), _swept()
    for override in HydraConfig.get().overrides.task:
        _check_not_swept(override.partition("=")[0], swept)
    combinations = list(product(*([f"{key}={value}" for value in values] for key, values in swept.items())))
    if combinations == [()]:
        return [Cell("all", ())]
    swept_cells = [Cell(cell_name(overrides), overrides) for overrides in combinations]
    names = [cell.name for cell in swept_cells]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise InputError(f"experiment={name} has two cells called {', '.join(sorted(duplicates))}: change its sweep")
    return swept_cells


def cell_name(overrides: Sequence[str]) -> str:
    """Name of a cell, built from its swept settings: ``defense=jpeg bpda=false`` gives "jpeg-no_bpda".

    Group choices come first, by their names alone. A boolean setting is named only where it is false, however that is
    written (off, no, 0); any other setting is followed by its value.
    """
    choices, rest = [], []
    for override in overrides:
        key, _, value = override.partition("=")
        setting = key.rpartition(".")[2]
        if (switch := parse_boolean(key, value)) is not None:
            rest += [f"no_{setting}"] * (not switch)
        elif re.fullmatch(r"[A-Za-z]\w*", value) and "." not in key:
            choices.append(value)
        else:
            rest.append(f"{setting}_{value}")
    parts = choices + rest or [override.partition("=")[0] for override in overrides]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))


def cell_label(swept: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """Label of a cell by its swept settings (`Cell.swept`) except those in ``without``; empty if none is left.

    As `cell_name`; if only booleans are left and all are true, the label lists them.
    """
    labelled = {key: value for key, value in swept.items() if key not in without}
    if overrides := [f"{key}={value}" for key, value in labelled.items() if value is not True]:
        return cell_name(overrides)
    return "-".join(key.rpartition(".")[2] for key in labelled)


def job_cell_name() -> str:
    """Name of the cell that this job computes; without an experiment, the name of the defense.

    `InputError` if the experiment is a sweep and the command line does not choose one of its cells.
    """
    hydra = HydraConfig.get()
    swept, overrides = _swept(), {override.partition("=")[0]: override for override in hydra.overrides.task}
    if experiment() is None:
        return str(hydra.runtime.choices["defense"])
    if not swept:
        return "all"
    if missing := [key for key in swept if key not in overrides]:
        example = " ".join(f"{key}={values[0]}" for key, values in swept.items())
        raise InputError(
            f"experiment={experiment()} is a sweep over {', '.join(swept)}, and this run does not set "
            f"{', '.join(missing)}: add -m to run all cells, or choose one, for example {example}"
        )
    return cell_name([overrides[key] for key in swept])


def check_sweep(config: DictConfig) -> None:
    """`InputError` for a multirun whose overrides conflict with the sweep of its experiment.

    ``config``: with Hydra's own settings, as passed to a callback.
    """
    if config.hydra.runtime.choices.get("experiment") is None:
        return
    overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    for override in overrides:
        _check_not_swept(str(override.key_or_group), config.hydra.sweeper.params or ())
    swept = {str(override.key_or_group) for override in overrides if override.is_sweep_override()}
    if extra := swept - set(SHARDS):
        raise InputError(
            f"a sweep over {', '.join(sorted(extra))} in addition to the experiment's own: add it to the experiment's "
            "file, or sweep without an experiment"
        )


def _check_not_swept(key: str, swept: Collection[str]) -> None:
    if key in swept:
        raise InputError(
            f"{key} is swept by the experiment itself: change its values with 'hydra.sweeper.params.{key}=\"...\"', "
            "quoted like this"
        )


def _typed(key: str, value: str) -> Any:
    switch = parse_boolean(key, value)
    return yaml.safe_load(value) if switch is None else switch


def _swept() -> dict[str, list[str]]:
    return _expanded(HydraConfig.get().sweeper.get("params"))


def _expanded(params: DictConfig | None) -> dict[str, list[str]]:
    """The values of each swept parameter, as strings."""
    parser, values = OverridesParser.create(), {}
    for key, value in (params or {}).items():
        parsed = parser.parse_override(f"{key!s}={value}")
        texts = parsed.sweep_string_iterator() if parsed.is_sweep_override() else [parsed.get_value_element_as_str()]
        values[str(key)] = list(texts)
    return values
