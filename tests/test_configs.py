"""Every configuration composes and makes what it says; presets are those of the library."""

from pathlib import Path

import numpy as np
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

import clever
from conftest import ROOT, composed, started
from pipeline.shared.app.experiment import cell_name, cells
from pipeline.shared.data.selection import sampling_settings
from pipeline.shared.models.classifier import build_network
from test_zoo import ZOO


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@pytest.mark.parametrize("name", choices("defense"))
def test_every_defense_is_made(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "training.npz", images=np.zeros((1, 3, 8, 8), np.uint8))
    needs = {"quilting": [f"defense.training={tmp_path}/training.npz"]}
    defense = instantiate(composed(f"defense={name}", *needs.get(name, [])).defense)
    assert " at 0x" not in repr(defense)


@pytest.mark.parametrize("name", sorted({*choices("model")} - ZOO.keys() - {"efficientnet_lite0"}))
def test_every_model_is_made(name: str) -> None:
    needs = {
        "torchvision": ["model.network.name=resnet18"],
        "custom": ["model.network._target_=torch.nn.Identity"],
        "mlp": ["model.network.activation=gelu"],
        "cnn": ["model.network.activation=silu"],
        **{f"mnist_{kind}": ["model.recipe.seed=0"] for kind in ("mlp", "cnn", "distilled")},
    }
    network, normalize = build_network(composed(f"model={name}", *needs.get(name, [])))
    assert isinstance(network, nn.Module)
    assert len(normalize.mean) == (1 if name.startswith("mnist") else 3)


@pytest.mark.parametrize("name", choices("order"))
def test_every_order_is_made(name: str) -> None:
    order = instantiate(composed(f"order={name}").order)
    assert order.name in name
    assert " at 0x" not in repr(order)


@pytest.mark.parametrize("name", choices("model/normalize"))
def test_every_normalisation_is_made(name: str) -> None:
    assert float(build_network(composed(f"model/normalize={name}"))[1].std.min()) > 0


@pytest.mark.parametrize("name", choices("weights"))
def test_every_kind_of_weights_is_made(name: str) -> None:
    needs = {
        "file": ["weights.path=a", "weights.sha256=b"],
        "url": ["weights.url=a", "weights.sha256=b"],
        "torchvision": ["model=densenet121"],
        "authors_recipe": ["model=mnist_mlp_0"],
    }
    assert hasattr(instantiate(composed(f"weights={name}", *needs.get(name, [])).weights), "state")


@pytest.mark.parametrize(("name", "preset"), [("paper", clever.paper), ("reference_code", clever.reference_code)])
def test_presets_are_those_of_the_library(name: str, preset) -> None:
    assert sampling_settings(composed(f"preset={name}")) == preset()


def test_our_own_preset_has_the_estimator_of_the_library_and_the_published_ones_keep_theirs() -> None:
    assert sampling_settings(composed()).estimator == "mle_reg"  # of experiments, the authors'
    own = clever.Settings(n_batches=5, n_samples=8, radius={"L2": 1.0})
    assert sampling_settings(composed("preset=library")).estimator == own.estimator == "r_largest"
    assert (clever.paper().estimator, clever.reference_code().estimator) == ("mle", "mle_reg")


def test_the_papers_experiment_says_what_it_is(tmp_path: Path) -> None:
    config = composed("experiment=imagenet_densenet121", f"data.root={tmp_path}")
    assert config.model.name == "densenet121"
    assert sampling_settings(config) == clever.reference_code()
    assert config.data.preprocessing == "reference_code"
    assert config.weights.version == "IMAGENET1K_V1"
    assert (
        sampling_settings(composed("experiment=imagenet_densenet121", "preset=paper", "data.root=x")) == clever.paper()
    )


def test_the_command_line_has_the_last_word() -> None:
    config = composed("experiment=imagenet_densenet121", "data.root=x", "sampling.n_batches=50", "score.n_images=7")
    assert (config.sampling.n_batches, config.score.n_images) == (50, 7)


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_cell_of_every_experiment_composes(name: str, tmp_path: Path) -> None:
    """As the stages find them, each under a name of its own; published weights are there."""
    np.savez(tmp_path / "training.npz", images=np.zeros((1, 3, 8, 8), np.uint8))
    with started(f"experiment={name}"):
        found = cells()
    assert len({cell.name for cell in found}) == len(found) >= 1
    for cell in found:
        config = composed(f"experiment={name}", *cell.overrides, f"prepared_dir={tmp_path}")
        with started(f"experiment={name}", *cell.overrides):  # some settings depend on what is chosen
            assert sampling_settings(config).seed == config.seed
        assert " at 0x" not in repr(instantiate(config.defense))
        if config.weights._target_.endswith("Published"):
            assert (ROOT / config.weights.path).is_file()


def test_experiments_of_params_are_files_and_stand_in_the_report() -> None:
    params = OmegaConf.load(ROOT / "params.yaml")
    report = OmegaConf.load(ROOT / "dvc.yaml").stages.report.deps
    assert {*params.experiments.computed, *params.experiments.reported} <= set(choices("experiment"))
    for name in params.experiments.reported:
        assert f"results/{name}" in report
    assert set(params.experiments.data) <= set(choices("data"))


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["defense=jpeg", "bpda=true"], "jpeg"),
        (["bpda=False", "defense=jpeg"], "jpeg-no_bpda"),
        (["model=mlp_tanh", "order=second_order"], "mlp_tanh-second_order"),
        (["defense=jpeg", "defense.quality=30", "attack.bpda=false"], "jpeg-quality_30-no_bpda"),
        (["data.ids=[a/b,c]"], "ids__a_b_c_"),
        (["bpda=true"], "bpda"),
        *((["defense=jpeg", f"bpda={off}"], "jpeg-no_bpda") for off in ("off", "no", "0", "False")),
        *((["defense=jpeg", f"bpda={on}"], "jpeg") for on in ("on", "yes", "1", "True")),
        (["sampling.path=off"], "no_path"),
        (["sampling.ascent=0"], "ascent_0"),  # a number, not a boolean
    ],
)
def test_a_cell_is_named_by_what_its_sweep_varies(overrides: list[str], name: str) -> None:
    assert cell_name(overrides) == name


@pytest.mark.parametrize(
    ("swept", "names"),
    [
        ({"bpda": "true,false", "defense": "jpeg,png"}, ["jpeg", "png", "jpeg-no_bpda", "png-no_bpda"]),
        ({"defense": "jpeg", "defense.quality": "range(30,51,10)"}, [f"jpeg-quality_{q}" for q in (30, 40, 50)]),
        ({"order": "sort(second_order,first_order)"}, ["first_order", "second_order"]),
        ({}, ["all"]),
    ],
)
def test_cells_are_those_that_hydras_own_sweeper_makes(swept: dict[str, str], names: list[str]) -> None:
    with started("experiment=defenses", swept=swept):
        found = cells()
    assert [cell.name for cell in found] == names
    parsed = OverridesParser.create().parse_overrides([f"{name}={values}" for name, values in swept.items()])
    theirs = BasicSweeper.split_arguments(parsed, None)[0]
    # Hydra writes True where a person writes true
    assert [[word.lower() for word in cell.overrides] for cell in found] == [[w.lower() for w in job] for job in theirs]


def test_a_boolean_is_the_same_value_however_it_is_written() -> None:
    with started("experiment=defenses", swept={"bpda": "true,off"}):
        assert [cell.swept for cell in cells()] == [{"bpda": True}, {"bpda": False}]
    with (
        started("experiment=defenses", swept={"defense": "jpeg", "bpda": "false,off"}),
        pytest.raises(clever.InputError, match="two cells called jpeg-no_bpda"),
    ):
        cells()


def test_two_cells_of_one_name_are_refused() -> None:
    with (
        started("experiment=defenses", swept={"defense": "jpeg,png,jpeg"}),
        pytest.raises(clever.InputError, match="experiment=defenses has two cells called jpeg: change its sweep"),
    ):
        cells()


def test_unknown_normalisations_are_refused() -> None:
    with pytest.raises(clever.InputError, match="one positive std per channel"):
        clever.Normalize([0.5], [0.5, 0.5])
    with pytest.raises(clever.InputError, match="one positive std per channel"):
        clever.Normalize([0.5], [0.0])
