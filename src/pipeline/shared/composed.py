"""The configurations of an experiment's cells, for the programs that look at all of them."""

from collections.abc import Iterator

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pipeline.shared import artifacts
from pipeline.shared.experiment import cells, experiment
from pipeline.shared.kinds import check_kinds


def each_cell(config: DictConfig) -> Iterator[DictConfig]:
    """The configuration of each cell, as a job of the stage score gets it; without an experiment that of this run."""
    if experiment() is None:
        yield config
        return
    given = list(HydraConfig.get().overrides.task)
    for cell in cells():
        of_cell = compose("config", overrides=[*given, *cell.overrides])
        artifacts.place(of_cell, "score", cell.name)
        check_kinds(of_cell)
        yield of_cell
