"""Precision, layout and compilation: what they change, and that they say so."""

import json

import pytest
import torch
from torch import nn

import clever
from clever.compute import Computed, deviation
from clever.models import frozen
from conftest import Project


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 5)]
    return nn.Sequential(*layers).eval()


@pytest.fixture
def points() -> torch.Tensor:
    return torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def changed(compute: clever.Compute, network: nn.Module, points: torch.Tensor) -> torch.Tensor:
    with frozen(network), compute.arithmetic():
        share = deviation(compute.applied(network), network, points, 0, [1, 2, 3])
    assert share.shape == (16, 3, 3)
    return share


def test_the_defaults_are_the_network_itself(network: nn.Module) -> None:
    assert clever.Compute().applied(network) is network


@pytest.mark.parametrize(
    "compute",
    [
        clever.Compute(layout="channels_last"),
        clever.Compute(precision="tf32"),  # of no effect on a CPU
        clever.Compute(compilation="default"),  # with three backward passes through one forward pass
    ],
    ids=["layout", "tf32", "compiled"],
)
def test_what_changes_the_rounding_only(compute: clever.Compute, network: nn.Module, points: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert changed(compute, network, points).max() < 1e-4
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network[0].weight.is_contiguous()


def test_bfloat16_changes_more_than_rounding(network: nn.Module, points: torch.Tensor) -> None:
    share = changed(clever.Compute(precision="bfloat16"), network, points)
    assert 1e-4 < share.median() < 0.1


def test_compilation_really_compiles(network: nn.Module, points: torch.Tensor) -> None:
    compiled = clever.Compute(compilation="default").applied(network)
    graphs = []
    compiled._run = torch.compile(compiled.network, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    assert isinstance(compiled, Computed)
    with torch.no_grad():
        compiled(points)
    assert graphs
    assert any("conv" in str(node.target) for graph in graphs for node in graph.graph.nodes)


def test_second_order_refuses_a_compiled_network() -> None:
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 3)).eval()
    compiled = clever.Compute(compilation="default").applied(smooth)
    with pytest.raises(clever.InputError, match=r"compiled network .* has first derivatives only"):
        clever.score(compiled, torch.rand(1, 3, 2, 2), clever.paper(), order=clever.SecondOrder(), progress=False)


def test_tf32_is_on_only_where_it_is_asked_for() -> None:
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [backend.fp32_precision for backend in backends]
    for precision, expected in (("float32", "ieee"), ("tf32", "tf32")):
        with clever.Compute(precision=precision).arithmetic():
            assert [backend.fp32_precision for backend in backends] == [expected, expected]
        assert [backend.fp32_precision for backend in backends] == before


@pytest.mark.parametrize("name", ["precision", "layout", "compilation"])
def test_an_unknown_choice_is_named(name: str) -> None:
    with pytest.raises(clever.InputError, match=f"unknown {name} 'fast': it must be one of"):
        clever.Compute(**{name: "fast"})


def test_a_run_in_lower_precision_says_what_it_changed(project: Project) -> None:
    shown = project.stage("score", "results_dir=run", "compute.precision=bfloat16")
    run = json.loads((project.folder / "run" / "run.json").read_text())["compute"]
    told = run["gradient_norms_changed_by"]
    assert run["precision"] == "bfloat16"
    assert 0 < told["median"] <= told["largest"]
    assert f"bfloat16 changes gradient norms by {told['median']:.2%} (median)" in shown.stdout
    again = project.stage("score", "results_dir=again")
    assert "changes gradient norms" not in again.stdout
    kept = json.loads((project.folder / "again" / "run.json").read_text())
    assert kept["compute"] == {"precision": "float32", "layout": "contiguous", "compilation": "none"}
    assert kept["points_from_store"] == 0  # numbers of another precision are never used
