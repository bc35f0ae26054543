"""Precision, layout and compilation: what they change, and that they say so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._functorch import config as functorch

import clever
from clever._internal.capacity import MAX_POINTS, Capacity
from clever.bounds.first_order import FirstOrder
from clever.classifier.compute import Computed, deviation
from clever.classifier.image_context import ImageContext
from clever.classifier.margin import gradient_norms
from clever.classifier.wrappers import frozen
from clever.norms import Norm
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
        share = deviation(compute, compute.applied(network), network, points, 0, [1, 2, 3])
    assert share.shape == (16, 3, 3)
    return share


def test_the_defaults_are_the_network_itself(network: nn.Module) -> None:
    assert clever.Compute().applied(network) is network


@pytest.mark.parametrize(
    "compute",
    [
        clever.Compute(layout="channels_last"),
        clever.Compute(compilation="default"),  # with three backward passes through one forward pass
    ],
    ids=["layout", "compiled"],
)
def test_what_changes_the_rounding_only(
    compute: clever.Compute,
    network: nn.Module,
    points: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # Torch's own cache does not tell one instruction set from another (ATEN_CPU_CAPABILITY).
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert changed(compute, network, points).max() < 1e-4
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network[0].weight.is_contiguous()


def test_compilation_leaves_the_settings_of_the_process_alone(
    network: nn.Module, points: torch.Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One target and then several: the graph that a first backward pass compiled serves several passes, too."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    for whole_process in (True, False):
        with functorch.patch(donated_buffer=whole_process), frozen(network):
            compiled = clever.Compute(compilation="default").applied(network)
            assert functorch.donated_buffer is whole_process
            for targets in ([1], [1, 2, 3]):
                found = gradient_norms(compiled, points, 0, targets, (Norm.L2,))
                exact = gradient_norms(network, points, 0, targets, (Norm.L2,))
                assert torch.allclose(found, exact, rtol=1e-4)
            assert functorch.donated_buffer is whole_process


def test_bfloat16_changes_more_than_rounding(network: nn.Module, points: torch.Tensor) -> None:
    share = changed(clever.Compute(precision="bfloat16"), network, points)
    assert 1e-4 < share.median() < 0.1


def test_a_compiled_network_goes_through_in_batches_of_the_size_that_fits_it_uncompiled() -> None:
    layers = [nn.Conv2d(3, 64, 3, padding=1), *[nn.Conv2d(64, 64, 3, padding=1) for _ in range(4)]]
    wide = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 64 * 64, 2)).eval()

    def size(network: nn.Module) -> int:
        context = ImageContext(0, "image", 3 * 64 * 64, 0, {}, {}, {})
        return Capacity.estimate(
            FirstOrder().measure(network, torch.empty(0), context, [1]), torch.rand(3, 64, 64)
        ).size

    with frozen(wide):
        assert 1 <= size(wide) == size(clever.Compute(compilation="default").applied(wide)) < MAX_POINTS["cpu"]


def test_compilation_compiles_in_the_mode_of_its_name(
    network: nn.Module, points: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, calls = [], []

    def compile(module: nn.Module, mode: str) -> Callable[[torch.Tensor], torch.Tensor]:
        modes.append(mode)
        return lambda images: calls.append(len(images)) or module(images)

    monkeypatch.setattr(torch, "compile", compile)
    for choice, mode in (("default", "default"), ("cuda_graphs", "reduce-overhead"), ("max_autotune", "max-autotune")):
        compiled = clever.Compute(compilation=choice).applied(network)
        assert isinstance(compiled, Computed)
        assert modes.pop() == mode
        with torch.no_grad():
            assert torch.equal(compiled(points), network(points))
        assert calls.pop() == len(points)


def test_second_order_refuses_a_compiled_network() -> None:
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 3)).eval()
    compiled = clever.Compute(compilation="default").applied(smooth)
    with pytest.raises(clever.InputError, match=r"compiled network .* has first derivatives only"):
        clever.score(compiled, torch.rand(1, 3, 2, 2), clever.paper(), order=clever.SecondOrder(), progress=False)


def test_tf32_is_on_only_where_it_is_asked_for() -> None:
    def allowed() -> list[bool]:
        return [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]

    before = allowed()
    for precision, expected in (("float32", False), ("tf32", True), ("bfloat16", False)):
        compute = clever.Compute(precision=precision)
        with compute.arithmetic():
            assert allowed() == [expected, expected]
            with clever.Compute().arithmetic():
                assert allowed() == [False, False]
            assert allowed() == [expected, expected]
        assert allowed() == before


def test_a_deviation_compares_with_full_precision(network: nn.Module, points: torch.Tensor) -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[bool] = []

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen.append(torch.backends.cudnn.allow_tf32)
            return network(images)

    exact, changed = Watched(), Watched()
    with clever.Compute(precision="tf32").arithmetic():
        deviation(clever.Compute(precision="tf32"), changed, exact, points, 0, [1])
    assert (exact.seen, changed.seen) == ([False], [True])


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
