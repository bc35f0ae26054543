"""The list of cells: each a name and the Hydra overrides that make it. As a program, it checks and shows them."""

import shlex

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from clever.errors import InputError
from pipeline.app import launch
from pipeline.kinds import check_kinds


def cells(config: DictConfig) -> list[str]:
    """The names, in the order of params.yaml; `InputError` for what is no list of cells."""
    for name, overrides in config.cells.items():
        if not isinstance(name, str) or not isinstance(overrides, str):
            raise InputError(
                f"cell {name!r}: {overrides!r} in params.yaml: both must be text, as in `jpeg: defense=jpeg`"
            )
    if not isinstance(config.overrides, str) or not config.overrides:
        raise InputError(f"overrides is {config.overrides!r} in params.yaml: it must be text, at least `device=auto`")
    if not config.cells:
        raise InputError("params.yaml lists no cells: at least one is needed, as in `identity: defense=identity`")
    return list(config.cells)


def of_cell(config: DictConfig, name: str) -> DictConfig:
    """The configuration of a cell: this run's overrides, then the cell's own."""
    return _of_cell(config, name, HydraConfig.get().overrides.task, ".")


def of_experiment(config: DictConfig, name: str, results_dir: str = ".") -> DictConfig:
    """As `dvc repro` runs the cell: the overrides of params.yaml, then this run's, then the cell's own."""
    given = HydraConfig.get().overrides.task
    common = [override for override in shlex.split(config.overrides) if override not in given]
    return _of_cell(config, name, [*common, *given], results_dir)


def _of_cell(config: DictConfig, name: str, common: list[str], results_dir: str) -> DictConfig:
    cell = compose("config", overrides=[*common, *shlex.split(config.cells[name]), f"cell={name}"])
    cell.results_dir = results_dir
    check_kinds(cell)
    return cell


def run(config: DictConfig) -> None:
    """Prints what each cell is; `InputError` for one that cannot be composed, before any network is trained."""
    for name in cells(config):
        cell = of_cell(config, name)
        order, defense = instantiate(cell.order), instantiate(cell.defense)
        print(f"{name}: {cell.model.name}, {order.name}, {defense}{'' if cell.bpda else ', no BPDA'}")


def main() -> None:
    """The command line."""
    launch("cells")


if __name__ == "__main__":
    main()
