"""One shard of a whole experiment: the stages score and attack of every cell, for this job's part of the images."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pipeline import attack, score
from pipeline.app import launch
from pipeline.cells import cells, of_cell


def run(config: DictConfig) -> None:
    """Fills the store, so that afterwards `dvc repro` only fits, aggregates and draws."""
    folder = HydraConfig.get().runtime.output_dir
    for name in cells(config):
        for stage in (score, attack):
            stage.run(of_cell(config, name, f"{folder}/{stage.__name__.rpartition('.')[2]}/{name}"))


def main() -> None:
    """The command line."""
    launch("shard")


if __name__ == "__main__":
    main()
