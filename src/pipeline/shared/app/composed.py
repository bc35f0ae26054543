"""The configurations of an experiment's cells, for the programs that look at all of them."""

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
    """The configuration of each cell, as a job of the stage score gets it; without an experiment that of this run.

    What depends on Hydra's choices (``${hydra:runtime.choices.defense}``, the data set's folder) is that of the cell.
    """
    if experiment() is None:
        yield config
        return
    given = list(HydraConfig.get().overrides.task)
    for cell in cells():
        of_cell = compose("config", overrides=[*given, *cell.overrides], return_hydra_config=True)
        with _hydra_of(of_cell):
            with open_dict(of_cell):
                del of_cell["hydra"]
            artifacts.fill_in_paths(of_cell, "score", cell.name)
            _settle(of_cell)
            check_values(of_cell)
        yield of_cell


@contextmanager
def _hydra_of(config: DictConfig) -> Iterator[None]:
    """Hydra's own part of the configuration in the place of this run's, but for the folder of its output."""
    hydra = HydraConfig.instance()
    of_run = hydra.cfg
    with open_dict(config):
        config.hydra.runtime.output_dir = HydraConfig.get().runtime.output_dir
    hydra.set_config(config)
    try:
        yield
    finally:
        hydra.cfg = of_run


def _settle(node: DictConfig | ListConfig) -> None:
    """Puts its value in the place of every setting that names Hydra's own part, which is another one later.

    Other interpolations stay: they may be of settings that this run need not have, such as the folder of the data.
    """
    raw: Any = OmegaConf.to_container(node, resolve=False)
    keys: list[Any] = list(raw) if isinstance(raw, dict) else list(range(len(raw)))
    for key in keys:
        if OmegaConf.is_interpolation(node, key):
            if "hydra:" in raw[key]:
                node[key] = node[key]
        elif not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig | ListConfig):
            _settle(node[key])
