"""DDN, FMN, and Carlini and Wagner's attack alone: as near as the exact distance, and as near as foolbox's."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from clever.attacks.carlini_wagner import carlini_wagner
from clever.attacks.ddn import ddn
from clever.attacks.fast_minimum_norm import fast_minimum_norm
from clever.norms import Norm
from test_attacks import affine, classes_of, exact, images_of

SHAPE = (3, 4, 4)


def with_ddn(network: nn.Module, images: Tensor, targets: Tensor, steps: int = 200) -> Tensor:
    return ddn(network, images, targets, steps=steps, generator=torch.Generator().manual_seed(0), gamma=0.05)


def with_carlini_wagner(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return carlini_wagner(network, images, targets, weights=9, steps=300)


def with_fmn(norm: Norm):
    return lambda network, images, targets: fast_minimum_norm(network, images, targets, norm, steps=300)


ATTACKS = {
    "DDN": (with_ddn, Norm.L2, 1.1),
    "Carlini and Wagner": (with_carlini_wagner, Norm.L2, 1.05),
    "FMN L1": (with_fmn(Norm.L1), Norm.L1, 1.001),
    "FMN L2": (with_fmn(Norm.L2), Norm.L2, 1.001),
    "FMN Linf": (with_fmn(Norm.LINF), Norm.LINF, 1.001),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_it_comes_near_the_exact_distance_and_what_it_finds_is_of_the_target_class(name: str) -> None:
    attack, norm, factor = ATTACKS[name]
    network, images = affine(10, SHAPE, 5).requires_grad_(False), images_of(SHAPE)
    _, targets = classes_of(network, images)
    state = torch.get_rng_state()
    found = attack(network, images, torch.tensor(targets))
    assert torch.equal(torch.get_rng_state(), state)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    there = norm.of(found - images) > 0  # FMN may end on the boundary itself
    assert float(there.float().mean()) > (0.8 if "FMN" in name else 0.99)
    assert torch.equal(network(found).argmax(1)[there], torch.tensor(targets)[there])
    truth = torch.tensor([exact(network, x, j, norm) for x, j in zip(images, targets, strict=True)])
    ratio = (norm.of(found - images) / truth)[there]
    assert float(ratio.min()) >= 1 - 1e-3
    assert float(ratio.median()) <= factor


@pytest.mark.parametrize("name", ATTACKS)
def test_where_nothing_is_found_the_original_stays(name: str) -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :2] * 1e-3 + torch.tensor([9.0, 0.0])

    images = images_of((1, 2, 2), 3)
    assert torch.equal(ATTACKS[name][0](Stubborn(), images, torch.tensor([1, 1, 1])), images)


def test_where_the_gradient_is_zero_ddn_goes_on_at_random() -> None:
    class Flat(nn.Module):
        """Of the second class where the image is a little brighter, by steps without a gradient."""

        def forward(self, x: Tensor) -> Tensor:
            bright = (x.flatten(1).mean(1) > 0.501).float()
            return torch.stack([0 * x.flatten(1).sum(1) + 0.5, bright], 1)

    images = torch.full((8, 1, 2, 2), 0.5)
    found = with_ddn(Flat(), images, torch.ones(8, dtype=torch.long), steps=50)
    assert float((found.flatten(1).mean(1) > 0.501).float().mean()) > 0.9


@pytest.mark.parametrize("norm", Norm)
def test_distances_are_those_of_foolbox(norm: Norm) -> None:
    """A peer: the same algorithms, so that distances agree to rounding in nearly all rows."""
    with warnings.catch_warnings():  # foolbox 3.3.4 calls one of scipy's functions by its old name
        warnings.simplefilter("ignore", DeprecationWarning)
        attacks = pytest.importorskip("foolbox.attacks", reason="no foolbox", exc_type=ImportError)
        from foolbox import PyTorchModel, TargetedMisclassification
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 4)).eval().requires_grad_(False)
    images = images_of(SHAPE, 16)
    targets = network(images).argsort(1, descending=True)[:, 1]
    pairs = {
        Norm.L1: [
            (attacks.L1FMNAttack(steps=60, gamma=0.1), fast_minimum_norm(network, images, targets, norm, steps=60))
        ],
        Norm.L2: [
            (attacks.DDNAttack(steps=60, gamma=0.05), with_ddn(network, images, targets, 60)),
            (attacks.L2CarliniWagnerAttack(5, 100), carlini_wagner(network, images, targets, weights=5, steps=100)),
        ],
        Norm.LINF: [
            (attacks.LInfFMNAttack(steps=60, gamma=0.1), fast_minimum_norm(network, images, targets, norm, steps=60))
        ],
    }  # fmt: skip
    model = PyTorchModel(network, bounds=(0, 1), device="cpu")
    for theirs, found in pairs[norm]:
        expected = norm.of(theirs.run(model, images, TargetedMisclassification(targets)) - images)
        ratio = (norm.of(found - images) / expected).nan_to_num(1)  # neither has found anything
        assert float(ratio.median()) == pytest.approx(1, abs=2e-3)
        assert float(ratio.max()) < 1.03
