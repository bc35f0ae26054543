"""The configurations of an experiment's cells are those that the cells' own jobs get."""

from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clever.errors import InputError
from conftest import Project, started
from pipeline.shared.app import artifacts
from pipeline.shared.app.composed import each_cell
from pipeline.shared.app.experiment import cells
from test_configs import choices
from test_plan import number, rows


def settings(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize("name", choices("experiment"))
def test_each_cell_of_every_experiment_has_the_settings_of_its_job(name: str) -> None:
    with started(f"experiment={name}") as config:
        root = ["data.root=nowhere"] if OmegaConf.is_missing(config.data, "root") else []
    with started(f"experiment={name}", *root) as config:
        ours, found = [settings(cell) for cell in each_cell(config)], cells()
    for cell, of_cell in zip(found, ours, strict=True):
        with started(f"experiment={name}", *root, *cell.overrides) as config:
            artifacts.fill_in_paths(config, "score")
            assert of_cell == settings(config), cell.name


def test_each_cell_of_a_sweep_over_data_sets_has_its_own_folder() -> None:
    with started("experiment=defenses", swept={"data": "digits,mnist"}) as config:
        assert [cell.prepared_dir for cell in each_cell(config)] == ["data/prepared/digits", "data/prepared/mnist"]


def test_the_settings_of_a_shard_belong_to_this_run() -> None:
    with started("experiment=defenses", "shards=2") as config:
        assert {cell.results_dir for cell in each_cell(config)} == {"outputs"}


def test_what_hydra_tells_of_this_run_is_as_before_between_cells_and_after_an_error() -> None:
    with started("experiment=defenses") as config:
        before = HydraConfig.instance().cfg
        for _ in each_cell(config):
            assert HydraConfig.instance().cfg is before
    with started("experiment=defenses", "seed=-1") as config:
        before = HydraConfig.instance().cfg
        with pytest.raises(InputError, match="seed"):
            next(each_cell(config))
        assert HydraConfig.instance().cfg is before


def test_plan_and_state_know_what_a_setting_is_in_each_cell(project: Project) -> None:
    """The number of points by order, as in experiment=exact; none of them is missing once they are computed."""
    by_order = "norms: [L2]\nlookup: {points: {first_order: 4, second_order: 2}}\n"
    by_order += "sampling: {n_samples: '${lookup.points.${hydra:runtime.choices.order}}'}"
    project.experiment("points", settings=by_order, model="mlp_tanh", order="first_order,second_order")
    tiny = "score.n_images=2 sampling.n_batches=5 data.n_images=60 targets=[top2] attack.steps=2 attack.rounds=0"
    planned = rows(project.stage("plan", "experiment=points", tiny=tiny).stdout)
    assert [number(row["N_s"]) for row in planned.values()] == [4, 2]
    project.whole("points", tiny=tiny)
    assert "8 of 8 done" in project.stage("state", "experiment=points", tiny=tiny).stdout
