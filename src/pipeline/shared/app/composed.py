"""The configurations of all cells of an experiment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from pipeline.shared.app import artifacts
from pipeline.shared.app.experiment import cells, experiment
from pipeline.shared.app.schema import check_values


def each_cell(config: DictConfig) -> Iterator[DictConfig]:
    """Yield the configuration of each cell as a job of the stage score gets it; without an experiment, this run's own.

    Interpolations of Hydra's choices (``${hydra:runtime.choices.defense}``, the data folder) are resolved per cell.
    """
    if experiment() is None:
        yield config
        return
    task_overrides = list(HydraConfig.get().overrides.task)
    for cell in cells():
        cell_config = compose("config", overrides=[*task_overrides, *cell.overrides], return_hydra_config=True)
        with _hydra_config(cell_config):
            with open_dict(cell_config):
                del cell_config["hydra"]
            artifacts.fill_in_paths(cell_config, "score", cell.name)
            _resolve_hydra(cell_config)
            check_values(cell_config)
        yield cell_config


@contextmanager
def _hydra_config(config: DictConfig) -> Iterator[None]:
    """Temporarily replace Hydra's global configuration by that of the cell, keeping the output folder."""
    hydra = HydraConfig.instance()
    previous = hydra.cfg
    with open_dict(config):
        config.hydra.runtime.output_dir = HydraConfig.get().runtime.output_dir
    hydra.set_config(config)
    try:
        yield
    finally:
        hydra.cfg = previous


def _resolve_hydra(node: DictConfig | ListConfig) -> None:
    """Resolve interpolations of Hydra's own configuration now, since it changes when the context ends.

    Other interpolations stay: they may refer to settings that this run does not need, such as the data folder.
    """
    raw: Any = OmegaConf.to_container(node, resolve=False)
    keys: list[Any] = list(raw) if isinstance(raw, dict) else list(range(len(raw)))
    for key in keys:
        if OmegaConf.is_interpolation(node, key):
            if "hydra:" in raw[key]:
                node[key] = node[key]
        elif not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig | ListConfig):
            _resolve_hydra(node[key])
