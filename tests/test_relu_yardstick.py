"""The yardstick for ReLU networks in benchmarks/: exact distances, bounds of L, and the rows that stand beside them."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import clever
from clever.norms import Norm
from conftest import ROOT


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the benchmarks, which lie in no package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import beside
    import peer
    import relu_distance
    import relu_net

    return {"net": relu_net, "distance": relu_distance, "beside": beside, "peer": peer}


def network(inputs: int, hidden: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2)
    return nn.Sequential(nn.Flatten(), *layers).double()


def classes(net: nn.Sequential, x: np.ndarray) -> tuple[int, int]:
    """The predicted class, and the other one."""
    predicted = int(net(torch.from_numpy(x)[None]).argmax())
    return predicted, 1 - predicted


def test_the_margin_is_the_networks(modules: dict[str, ModuleType]) -> None:
    net, x = network(6, 5, seed=0), np.random.default_rng(0).random(6)
    logits = net(torch.from_numpy(x)[None])[0].detach()
    assert modules["net"].Margin.of(net, 0, 1)(x) == pytest.approx(float(logits[0] - logits[1]))


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_of_an_affine_network_is_the_hyperplanes(modules: dict[str, ModuleType], seed: int) -> None:
    net, x = network(6, 5, seed), np.full(6, 0.5)
    with torch.no_grad():
        net[1].bias += 20  # no unit is ever off
        net[3].bias += 50
        net[5].bias -= net[5].bias + (net(torch.from_numpy(x)[None]) - net[5].bias)[0]  # both logits are 0 at x
        net[5].bias[0] += 0.01
    first, second, third = (net[k].weight.detach().numpy() for k in (1, 3, 5))
    expected = 0.01 / np.abs((third[0] - third[1]) @ second @ first).sum()
    assert expected < 0.5
    found = modules["distance"].nearest(modules["net"].Margin.of(net, 0, 1), x, attack=1.5 * expected, seconds=30)
    assert found.distance == pytest.approx(expected, rel=1e-4)


def test_the_distance_is_that_of_a_grid(modules: dict[str, ModuleType]) -> None:
    checked = 0
    for seed in range(12):
        net, x = network(2, 6, seed), np.array([0.4, 0.7])
        predicted, other = classes(net, x)
        with torch.no_grad():
            net[5].bias[predicted] -= 0.9 * modules["net"].Margin.of(net, predicted, other)(x)
        margin = modules["net"].Margin.of(net, predicted, other)
        axis = np.linspace(0, 1, 301)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        away = np.abs(grid - x).max(axis=1)
        logits = net(torch.from_numpy(grid)).detach().numpy()
        changed = logits[:, predicted] <= logits[:, other]
        if not changed.any():
            continue
        attack = away[changed].min()
        found = modules["distance"].nearest(margin, x, attack, seconds=30)
        assert attack - 2 / 300 <= found.distance <= attack
        assert np.abs(found.x - x).max() == pytest.approx(found.distance, rel=1e-4)
        assert margin(found.x) <= 1e-4 * margin(x)
        checked += 1
    assert checked >= 6


def test_a_ball_without_the_other_class_is_no_attacks(modules: dict[str, ModuleType]) -> None:
    net, x = network(2, 6, seed=0), np.array([0.4, 0.7])
    margin = modules["net"].Margin.of(net, *classes(net, x))
    with pytest.raises(AssertionError, match="no image within"):
        modules["distance"].nearest(margin, x, attack=1e-3, seconds=30)


@pytest.mark.parametrize("radius", [0.01, 0.1, 0.5])
def test_no_gradient_is_above_the_interval_bound(modules: dict[str, ModuleType], radius: float) -> None:
    for seed in range(5):
        net, x = network(6, 8, seed), np.random.default_rng(seed).random(6)
        low, high = modules["net"].box(x, radius)
        points = torch.from_numpy(np.random.default_rng(seed).uniform(low, high, (2000, 6))).requires_grad_()
        logits = net(points)
        (gradients,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), points)
        bound = modules["net"].Margin.of(net, 0, 1).lipschitz_bound(low, high)
        largest = float(gradients.abs().sum(1).max())
        assert largest <= bound * (1 + 1e-9)
        if radius == 0.01:  # few units change their sign
            assert bound < 2 * largest


def test_the_bound_of_a_point_is_its_gradient(modules: dict[str, ModuleType]) -> None:
    net, x = network(6, 8, seed=1), np.random.default_rng(1).random(6)
    point = torch.from_numpy(x)[None].requires_grad_()
    logits = net(point)[0]
    (gradient,) = torch.autograd.grad(logits[0] - logits[1], point)
    bound = modules["net"].Margin.of(net, 0, 1).lipschitz_bound(x, x)
    assert bound == pytest.approx(float(gradient.abs().sum()), rel=1e-12)


def test_columns_are_of_positive_values_with_a_distance(modules: dict[str, ModuleType]) -> None:
    values = modules["beside"].Values(np.array([0.5, 1.0, 2.0, np.nan, -1.0, 1.0]), 10.0, 0.001)
    columns = values.columns([1.0, 1.0, 1.0, 1.0, 1.0, np.nan])
    assert columns["images"] == 3
    assert columns["value / distance, median"] == 1
    assert columns["above"] == "33% [1%, 91%]"  # Clopper and Pearson's of 1 in 3
    assert columns["spread"] == pytest.approx(np.log(2), abs=1e-3)
    assert columns["median at 5 % above"] == pytest.approx(1 / 1.9, abs=1e-3)  # the quantile between 1 and 2
    assert np.isnan(columns["rank correlation"])  # one distance
    ordered = modules["beside"].Values(np.array([0.5, 1.0, 2.0, 5.0]), 0.0, 0.0)
    assert ordered.columns([1.0, 3.0, 2.0, np.inf])["rank correlation"] == 0.5
    assert columns["us a gradient"] == "100.0"


def test_one_gradient_is_the_margin_over_its_norm(modules: dict[str, ModuleType]) -> None:
    net, images = network(16, 8, seed=2), torch.rand(2, 1, 4, 4, dtype=torch.float64)
    settings = clever.Settings(n_batches=5, n_samples=4, radius={"Linf": 0.01}, clip=True)
    found = modules["beside"].library(net, images, settings, Norm.LINF)
    assert found.gradients == 5 * 4 + 1
    for score, value in zip(found.scores, modules["beside"].one_gradient(found.scores).values, strict=True):
        assert value == pytest.approx(score.margin / score.gradient_norm)


def test_a_missing_toolbox_is_told(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "art", None)
    assert not modules["peer"].installed()
    assert "pip install adversarial-robustness-toolbox" in capsys.readouterr().err
