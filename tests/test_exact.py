"""The exact distance: against closed solutions, between certificate and attack, and never claimed where not known."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

import clever
from clever.attacks.search import Strength, smallest_distances
from clever.norms import Norm
from pipeline.attack.exact import check_order, exact_distances
from pipeline.model.optimisers import OneCycle
from pipeline.model.training import Recipe, train
from pipeline.shared.models.networks.two_layer import TwoLayer

SIZE = 4


def network(seed: int = 0, scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 12), nn.Softplus(), nn.Linear(12, 3))
    with torch.no_grad():
        net[3].weight *= scale
    return nn.Sequential(clever.Normalize([0.5], [0.5]), net).eval().requires_grad_(requires_grad=False)


def pairs(net: nn.Module, count: int = 8) -> tuple[torch.Tensor, list[int], list[int]]:
    images = torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    order = net(images).argsort(1, descending=True)
    return images, order[:, 0].tolist(), order[:, 1].tolist()


def test_the_closed_form_is_the_network() -> None:
    net, (images, _, _) = network(), pairs(network())
    two = TwoLayer.of(net)
    hidden = images.flatten(1) @ two.inner.T + two.shift
    expected = torch.nn.functional.softplus(hidden, two.beta) @ two.outer.T + two.constant
    assert torch.allclose(net(images), expected, atol=1e-5)


def test_no_hessian_is_more_curved_than_the_bound() -> None:
    net = network()
    two = TwoLayer.of(net)
    bound = float(two.curvatures(two.outer[:1] - two.outer[1:2]))

    def margin(x: torch.Tensor) -> torch.Tensor:
        logits = net(x.view(1, 1, SIZE, SIZE))[0]
        return logits[0] - logits[1]

    points = torch.rand(30, SIZE**2, generator=torch.Generator().manual_seed(2))
    seen = [-float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(margin, x))[0]) for x in points]
    assert 0.5 * bound < max(seen) <= bound * (1 + 1e-5)


def test_the_distance_lies_between_certificate_and_attack_and_is_that_of_another_solver() -> None:
    net = network()
    images, predicted, targets = pairs(net)
    found = exact_distances(TwoLayer.of(net), images.flatten(1), predicted, targets)
    assert found.converged.sum() >= len(images) // 2
    attack = smallest_distances(net, images, predicted, targets, Norm.L2, Strength(100), seed=0).distance
    assert (found.certificate <= found.upper * (1 + 1e-9)).all()
    assert (found.certificate < 0.999 * found.upper).any()
    assert (found.lower <= attack * (1 + 1e-4)).all()
    row = int(found.converged.nonzero()[0])
    x0 = images[row].flatten().double().numpy()

    def margin(x: np.ndarray) -> float:
        logits = net.double()(torch.from_numpy(x).view(1, 1, SIZE, SIZE))[0]
        return float(logits[targets[row]] - logits[predicted[row]])

    start = np.full(SIZE**2, 0.5)
    constraint = {"type": "ineq", "fun": margin}
    other = minimize(lambda x: ((x - x0) ** 2).sum(), start, bounds=[(0, 1)] * SIZE**2, constraints=[constraint])
    assert float(found.distance[row]) == pytest.approx(np.sqrt(other.fun), rel=1e-3)


def test_a_strongly_curved_network_gets_no_answer_rather_than_a_wrong_one() -> None:
    net = network(scale=60.0)
    with torch.no_grad():
        net[1][3].bias += torch.tensor([200.0, 0.0, 0.0])
    images, predicted, targets = pairs(net)
    found = exact_distances(TwoLayer.of(net), images.flatten(1), predicted, targets)
    assert not found.converged.all()
    assert found.distance.isnan()[~found.converged].all()


def test_images_that_break_the_order_are_named() -> None:
    row = {"id": "a", "target": "top2", "certificate": 0.5, "lower": 1.0, "upper": 1.0, "distance": 1.1}
    check_order(pd.DataFrame([row]))
    for wrong in ({"certificate": 1.01}, {"distance": 0.99}):
        with pytest.raises(AssertionError, match=r"not certificate <= exact <= attack: b \(top2"):
            check_order(pd.DataFrame([row, row | {"id": "b"} | wrong]))


def test_other_networks_are_refused() -> None:
    other = nn.Sequential(clever.Normalize([0.5], [0.5]), nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(clever.InputError, match=r"ReLU.*Softplus"):
        TwoLayer.of(other)


def test_the_penalty_lowers_the_bound() -> None:
    images, labels = torch.rand(40, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3)), torch.arange(40) % 3
    bounds = []
    for curvature in (0.0, 1.0):
        net = network().requires_grad_()
        train(net, images, labels, Recipe(4, 8, 0.01, 0, OneCycle(), curvature=curvature))
        bounds.append(float(TwoLayer.of(net).largest_curvatures().mean().detach()))
    assert bounds[1] < 0.8 * bounds[0]
