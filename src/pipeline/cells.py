"""The list of cells: each a name and the Hydra overrides that make it."""

import shlex

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from clever.errors import InputError


def cells(config: DictConfig) -> list[str]:
    """The names, in the order of params.yaml; `InputError` for what is no list of cells or lacks the baseline."""
    for name, overrides in config.cells.items():
        if not isinstance(name, str) or not isinstance(overrides, str):
            raise InputError(
                f"cell {name!r}: {overrides!r} in params.yaml: both must be text, as in `jpeg: defense=jpeg`"
            )
    if not isinstance(config.overrides, str) or not config.overrides:
        raise InputError(f"overrides is {config.overrides!r} in params.yaml: it must be text, at least `device=auto`")
    names = list(config.cells)
    if config.baseline not in names:
        raise InputError(f"baseline is {config.baseline!r}: it must be one of the cells {', '.join(names) or '(none)'}")
    return names


def of_cell(config: DictConfig, name: str) -> DictConfig:
    """The configuration of a cell: this run's overrides, then the cell's own."""
    overrides = [*HydraConfig.get().overrides.task, *shlex.split(config.cells[name]), f"cell={name}", "results_dir=."]
    return compose("config", overrides=overrides)
