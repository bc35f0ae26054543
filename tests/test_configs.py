"""Every configuration composes and makes what it says; presets are those of the library."""

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

import clever
from conftest import ROOT, composed
from pipeline.shared.classifier import bare
from pipeline.shared.selection import settings_of


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@pytest.mark.parametrize("name", choices("defense"))
def test_every_defense_is_made(name: str) -> None:
    defense = instantiate(composed(f"defense={name}").defense)
    assert " at 0x" not in repr(defense)


@pytest.mark.parametrize("name", choices("model"))
def test_every_model_is_made(name: str) -> None:
    needs = {
        "torchvision": ["model.network.name=resnet18"],
        "custom": ["model.network._target_=torch.nn.Identity"],
        "mlp": ["model.network.activation=gelu"],
        "cnn": ["model.network.activation=silu"],
    }
    network, normalize = bare(composed(f"model={name}", *needs.get(name, [])))
    assert isinstance(network, nn.Module)
    assert len(normalize.mean) == 3


@pytest.mark.parametrize("name", choices("order"))
def test_every_order_is_made(name: str) -> None:
    order = instantiate(composed(f"order={name}").order)
    assert order.name in name
    assert " at 0x" not in repr(order)


@pytest.mark.parametrize("name", choices("model/normalize"))
def test_every_normalisation_is_made(name: str) -> None:
    assert float(bare(composed(f"model/normalize={name}"))[1].std.min()) > 0


@pytest.mark.parametrize("name", choices("weights"))
def test_every_kind_of_weights_is_made(name: str) -> None:
    needs = {"file": ["weights.path=a", "weights.sha256=b"], "torchvision": ["model=densenet121"]}
    assert hasattr(instantiate(composed(f"weights={name}", *needs.get(name, [])).weights), "state")


@pytest.mark.parametrize(("name", "preset"), [("paper", clever.paper), ("reference_code", clever.reference_code)])
def test_presets_are_those_of_the_library(name: str, preset) -> None:
    assert settings_of(composed(f"preset={name}")) == preset()


def test_the_papers_experiment_says_what_it_is(tmp_path: Path) -> None:
    config = composed("experiment=imagenet_densenet121", f"data.root={tmp_path}")
    assert config.model.name == "densenet121"
    assert settings_of(config) == clever.reference_code()
    assert config.data.preprocessing == "reference_code"
    assert config.weights.version == "IMAGENET1K_V1"
    assert settings_of(composed("experiment=imagenet_densenet121", "preset=paper", "data.root=x")) == clever.paper()


def test_the_command_line_has_the_last_word() -> None:
    config = composed("experiment=imagenet_densenet121", "data.root=x", "sampling.n_batches=50", "score.n_images=7")
    assert (config.sampling.n_batches, config.score.n_images) == (50, 7)


def test_every_cell_of_params_composes() -> None:
    params = OmegaConf.load(ROOT / "params.yaml")
    names = [composed(f"model={name}").model.name for name in params.networks.removeprefix("model=").split(",")]
    for overrides in params.cells.values():
        config = composed(*str(overrides).split())
        assert config.sampling.seed == params.seed
        assert config.model.name in names


def test_unknown_normalisations_are_refused() -> None:
    with pytest.raises(clever.InputError, match="one positive std a channel"):
        clever.Normalize([0.5], [0.5, 0.5])
    with pytest.raises(clever.InputError, match="one positive std a channel"):
        clever.Normalize([0.5], [0.0])
