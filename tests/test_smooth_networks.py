"""Networks with two derivatives, from the configuration to the comparison of both orders."""

import json

import pandas as pd
import pytest
import torch
import torchvision
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from clever.classifier.smoothness import require_twice_differentiable
from clever.classifier.wrappers import frozen
from clever.errors import InputError
from conftest import Project, composed
from pipeline.shared.models.classifier import build_network
from pipeline.shared.models.networks.activations import ACTIVATIONS
from pipeline.shared.models.networks.densenet import DenseNet

IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SMOOTH = [f"{kind}_{activation}" for kind in ("mlp", "cnn") for activation in ("tanh", "sigmoid", "softplus")]
SECOND = ("order=second_order", "targets=[top2]", "norms=[L2]")


@pytest.mark.parametrize("name", [*SMOOTH, "densenet_softplus"])
def test_the_smooth_networks_are_twice_differentiable(name: str) -> None:
    network, _ = build_network(composed(f"model={name}"))
    with frozen(network):
        require_twice_differentiable(network, IMAGE)
        assert network(IMAGE.expand(2, -1, -1, -1)).shape == (2, 10)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_densenet121_takes_any_activation(activation: str) -> None:
    network, _ = build_network(composed("model=densenet121", f"model.network.activation={activation}"))
    with frozen(network):
        if activation == "relu":
            with pytest.raises(InputError, match=r"features\.relu0 \(ReLU\) calls aten\.relu"):
                require_twice_differentiable(network, IMAGE)
        else:
            require_twice_differentiable(network, IMAGE)


def test_with_relu_densenet_is_torchvisions() -> None:
    config = composed("model=densenet121").model.network
    ours, theirs = instantiate(config), torchvision.models.densenet121(weights=None)
    ours.load_state_dict(theirs.state_dict())
    with frozen(ours), frozen(theirs), torch.no_grad():
        assert torch.equal(ours(IMAGE), theirs(IMAGE))


def test_unknown_activations_are_refused() -> None:
    with pytest.raises(InputError, match="activation is 'rely': it must be one of relu, tanh"):
        DenseNet(activation="rely")
    with pytest.raises(InstantiationException, match="activation is 'swish'"):
        build_network(composed("model=mlp", "model.network.activation=swish"))


def test_both_orders_on_one_network_through_all_stages(project: Project) -> None:
    project.experiment("both", settings="norms: [L2]", model="mlp_tanh", order="first_order,second_order")
    project.stage("model", "experiment=both")
    for stage in ("score", "attack"):
        project.stage(stage, "-m", "experiment=both", "norms=[L2]")
    project.stage("aggregate", "experiment=both")
    tables = project.folder / "results" / "both" / "tables"
    assert "First and second order" in (tables / "tables.md").read_text()
    compared = pd.read_csv(tables / "orders.csv")
    first, second = (
        pd.read_csv(project.folder / "results" / "both" / "score" / f"mlp_tanh-{order}" / "scores.csv")
        for order in ("first_order", "second_order")
    )
    same = ["id", "target", "target_class", "norm", "margin", "gradient_norm", "radius", "network"]
    assert first[same].equals(second[same])
    assert list(compared.target) == ["top2", "least"]
    for row in compared.itertuples():
        rows = {"first": first[first.target == row.target], "second": second[second.target == row.target]}
        assert row.cell == "mlp_tanh-second_order"
        assert row.first == pytest.approx(rows["first"].score.mean(), rel=1e-4)
        assert row.second == pytest.approx(rows["second"].score.mean(), rel=1e-4)
        assert row.products == pytest.approx(rows["second"]["products"].mean(), rel=1e-4)
    assert (second["products"] > 2).all()
    assert "products" not in first


def test_second_order_of_a_relu_network_is_refused_before_any_sampling(project: Project) -> None:
    shown = project.stage("score", *SECOND, code=2)
    assert "features.relu0 (ReLU) calls aten.relu" in shown.stderr
    project.stage("model", "model=mlp_tanh")
    shown = project.stage("score", "model=mlp_tanh", "defense=jpeg", *SECOND, code=2)
    assert "Use first order, or second order for the bare network at the transformed image" in shown.stderr
    shown = project.stage("score", "model=mlp_tanh", *SECOND, "order.solver.tolerance=0", code=2)
    assert "tolerance is 0: it must be a positive number" in shown.stderr
    assert not list((project.folder / "store" / "maxima").rglob("*.npz"))


def test_orders_and_conventions_share_what_they_can(project: Project) -> None:
    project.stage("model", "model=mlp_tanh")

    def cost(*overrides: str) -> tuple[int, int]:
        project.stage("score", "model=mlp_tanh", "results_dir=run", *SECOND, *overrides)
        run = json.loads((project.folder / "run" / "run.json").read_text())
        return run["points_computed"], run["points_from_store"]

    first = cost()[0]
    assert first > 0
    assert cost("sampling.curvature=absolute") == (0, first)
    assert cost("order.solver.max_products=3") == (first, 0)
    assert cost("order=second_order_power_iteration") == (first, 0)


def test_weights_of_another_network_of_that_name_are_refused(project: Project) -> None:
    project.stage("model", "model=mlp_tanh")
    shown = project.stage("score", "model=mlp_tanh", "model.network.activation=softplus", "model.name=mlp_tanh", code=2)
    assert "was made with other settings (model.network.activation is softplus here and tanh there)" in shown.stderr
