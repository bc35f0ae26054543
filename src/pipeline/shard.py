"""One shard of a whole experiment: the stages score and attack of every cell, for this job's part of the images."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pipeline import attack, score
from pipeline.app import launch
from pipeline.cells import cells, of_experiment
from pipeline.classifiers.selection import check_selection

STAGES = {"score": score, "attack": attack}


def run(config: DictConfig) -> None:
    """Fills the store, so that afterwards `dvc repro` only fits, aggregates and draws."""
    folder = HydraConfig.get().runtime.output_dir
    jobs = [
        (stage, of_experiment(config, cell, f"{folder}/{name}/{cell}"))
        for cell in cells(config)
        for name, stage in STAGES.items()
    ]
    for _, of_job in jobs:
        check_selection(of_job)
        attack.checked(of_job)
    for stage, of_job in jobs:
        stage.run(of_job)


def main() -> None:
    """The command line."""
    launch("shard")


if __name__ == "__main__":
    main()
