"""Attacks: as near as the exact distance where that is known, verified everywhere, weaker without BPDA."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from torch import Tensor, nn

import clever
from clever.attacks.cost import planned_passes
from clever.attacks.refine import snapped_back
from clever.attacks.search import Found, smallest_distances
from clever.attacks.strength import Method, Strength
from clever.classifier.wrappers import frozen
from clever.norms import Norm

STRENGTH = Strength()
WEAK = Strength(steps=15, rounds=0)


def affine(classes: int, shape: tuple[int, int, int], gain: float = 1.0, seed: int = 0) -> nn.Sequential:
    """A linear classifier of centred images."""
    generator, size = torch.Generator().manual_seed(seed), math.prod(shape)
    layer = nn.Linear(size, classes)
    layer.weight.data = torch.randn(classes, size, generator=generator) * gain
    layer.bias.data = -layer.weight.detach().sum(1) / 2
    return nn.Sequential(nn.Flatten(), layer)


def images_of(shape: tuple[int, int, int], rows: int = 12) -> Tensor:
    return 0.4 + 0.2 * torch.rand(rows, *shape, generator=torch.Generator().manual_seed(1))


def classes_of(network: nn.Module, images: Tensor, rank: int = 1) -> tuple[list[int], list[int]]:
    ranked = network(images).detach().argsort(1, descending=True)
    return ranked[:, 0].tolist(), ranked[:, rank].tolist()


def exact(network: nn.Sequential, image: Tensor, target: int, norm: Norm) -> float:
    """The distance to the region of the target class within [0,1]: a linear program, or a convex one for L2."""
    w, b = (p.detach().double().numpy() for p in (network[1].weight, network[1].bias))
    x = image.flatten().double().numpy()
    others = [j for j in range(len(b)) if j != target]
    a, margin = w[others] - w[target], (w[target] - w[others]) @ x + b[target] - b[others]  # a d <= margin
    n = len(x)
    if norm is Norm.L2:
        constraint = {"type": "ineq", "fun": lambda d: margin - a @ d, "jac": lambda d: -a}
        start = linprog(np.zeros(n), A_ub=a, b_ub=margin, bounds=list(zip(-x, 1 - x, strict=True))).x
        options = {"maxiter": 500, "ftol": 1e-12}
        bounds, jac = list(zip(-x, 1 - x, strict=True)), lambda d: 2 * d
        found = minimize(lambda d: d @ d, start, jac=jac, bounds=bounds, constraints=[constraint], options=options)
        return float(np.linalg.norm(found.x))
    if norm is Norm.L1:  # d = u - v with u, v >= 0
        bounds = [(0, top) for top in 1 - x] + [(0, top) for top in x]
        return float(linprog(np.ones(2 * n), A_ub=np.hstack([a, -a]), b_ub=margin, bounds=bounds).fun)
    rows = [np.hstack([a, np.zeros((len(a), 1))])]  # the last variable bounds every |d|
    rows += [np.hstack([sign * np.eye(n), -np.ones((n, 1))]) for sign in (1, -1)]
    bounds = [*zip(-x, 1 - x, strict=True), (0, 1)]
    limits = np.concatenate([margin, np.zeros(2 * n)])
    return float(linprog(np.eye(n + 1)[n], A_ub=np.vstack(rows), b_ub=limits, bounds=bounds).fun)


def check(network: nn.Module, images: Tensor, targets: list[int], norm: Norm, found: Found) -> None:
    """Everything that is promised of what was found."""
    assert found.images.shape == images.shape
    assert float(found.images.min()) >= 0
    assert float(found.images.max()) <= 1
    succeeded = found.distance.isfinite()
    assert torch.equal(network(found.images).argmax(1)[succeeded], torch.tensor(targets)[succeeded])
    distance = norm.of(found.images - images)
    torch.testing.assert_close(found.distance[succeeded], distance[succeeded], rtol=1e-5, atol=0)
    assert torch.equal(found.images[~succeeded], images[~succeeded])


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize(("classes", "shape", "gain"), [(2, (1, 1, 2), 1), (2, (3, 8, 8), 1), (10, (3, 4, 4), 5)])
def test_affine_classifiers_are_attacked_to_within_two_percent(norm: Norm, classes: int, shape, gain: float) -> None:
    network, images = affine(classes, shape, gain), images_of(shape)
    predicted, targets = classes_of(network, images)
    found = smallest_distances(network, images, predicted, targets, norm, STRENGTH, seed=0)
    with torch.no_grad():
        check(network, images, targets, norm, found)
    truth = torch.tensor([exact(network, x, j, norm) for x, j in zip(images, targets, strict=True)])
    ratio = found.distance / truth
    assert float(ratio.min()) >= 1 - 1e-3
    assert float(ratio.max()) <= 1.02


@pytest.fixture(scope="module")
def bent() -> nn.Sequential:
    """A network with curved boundaries, trained on which corner of the image is brightest."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 4))
    images = torch.rand(600, 3, 4, 4)
    corners = torch.stack([images[:, :, i : i + 2, j : j + 2].mean((1, 2, 3)) for i in (0, 2) for j in (0, 2)], 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(300):
        loss = nn.functional.cross_entropy(network(images), corners.argmax(1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


DEFENSES = [clever.Identity(), clever.JPEG(), clever.BitDepth(3), clever.Quantize(16), clever.PNG()]


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("defense", DEFENSES, ids=lambda defense: type(defense).__name__)
def test_what_is_found_is_adversarial_for_the_defended_network(bent, defense, norm: Norm) -> None:
    network, images = clever.Defended(bent, defense), images_of((3, 4, 4), 6)
    predicted, targets = classes_of(network, images)
    found = smallest_distances(network, images, predicted, targets, norm, WEAK, seed=0)
    check(network, images, targets, norm, found)
    assert found.distance.isfinite().float().mean() > 0.8
    assert found.forwards > 15
    assert found.backwards >= 15


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("defense", [clever.Quantize(16), clever.BitDepth(3)], ids=["quantize", "bit depth"])
def test_without_bpda_the_attack_does_clearly_worse(bent, defense, norm: Norm) -> None:
    images = images_of((3, 4, 4), 24)
    means = {}
    for bpda in (True, False):
        network = clever.Defended(bent, defense, bpda=bpda)
        predicted, targets = classes_of(network, images)
        found = smallest_distances(network, images, predicted, targets, norm, STRENGTH, seed=0)
        # What was not found counts as the largest distance there is.
        farthest = norm.of(torch.maximum(images, 1 - images))
        means[bpda] = float(torch.where(found.distance.isfinite(), found.distance, farthest).mean())
        assert not bpda or found.distance.isfinite().all()
    print(f"{type(defense).__name__}, {norm}: mean distance {means[True]:.3g}, without BPDA {means[False]:.3g}")
    assert means[True] < 0.5 * means[False]


@pytest.fixture(scope="module")
def of_blocks() -> nn.Sequential:
    """A network of 16 x 16 pixels with curved boundaries, for what JPEG does to blocks."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 32), nn.Tanh(), nn.Linear(32, 4))
    nn.init.normal_(network[1].weight, std=0.1)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_behind_jpeg_a_smooth_backward_function_comes_nearer(of_blocks, norm: Norm) -> None:
    jpeg, images = clever.JPEG(), clever.PNG()(images_of((3, 16, 16), 10))
    distances = {}
    for backward in (None, clever.Smooth(jpeg, jpeg_only=True)):
        network = clever.Defended(of_blocks, jpeg, backward=backward)
        predicted, targets = classes_of(network, images)
        strength = Strength(steps=40, rounds=0)
        distances[backward] = smallest_distances(network, images, predicted, targets, norm, strength, seed=0).distance
    straight, smooth = distances.values()
    assert float((smooth / straight).median()) < 0.9


def test_behind_a_staircase_steps_that_are_known_save_half_of_the_passes(bent) -> None:
    """The same staircase once as a transformation that does not say its steps: walked behind, as far as that leads."""
    staircase, images = clever.Quantize(16), images_of((3, 4, 4), 24)
    distances = []
    for defense in (staircase, nn.Sequential(clever.BPDA(staircase))):
        network = clever.Defended(bent, defense)
        predicted, targets = classes_of(network, images)
        strength = Strength(steps=30, rounds=0)
        distances.append(smallest_distances(network, images, predicted, targets, Norm.L2, strength, seed=0).distance)
    known, unknown = distances
    assert float((known / unknown).median()) < 1.01
    few, many = (planned_passes(Norm.L2, strength, defense) for defense in (staircase, nn.Sequential()))
    assert 2 * few < many


def test_what_a_staircase_does_not_notice_is_taken_back_to_its_step() -> None:
    images = images_of((3, 4, 4), 6)
    far = (images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    quantize = clever.Quantize(6)
    back = snapped_back(images, far, quantize)
    assert torch.equal(quantize(back), quantize(far))
    level = quantize(far)
    nearest = torch.minimum(torch.maximum(images, level - 0.1), level + 0.1)
    torch.testing.assert_close(back, nearest, rtol=0, atol=1e-3)


def test_more_steps_find_no_larger_distances(bent) -> None:
    images = images_of((3, 4, 4), 12)
    predicted, targets = classes_of(bent, images)
    for norm in Norm:
        few, many = (
            smallest_distances(bent, images, predicted, targets, norm, Strength(steps=s), seed=0).distance.mean()
            for s in (100, 200)
        )
        assert float(many) == pytest.approx(float(few), rel=0.05), norm


def test_the_same_seed_gives_the_same_images_and_disturbs_nobody(bent) -> None:
    network, images = clever.Defended(bent, clever.Quantize(16)), images_of((3, 4, 4), 6)
    predicted, targets = classes_of(network, images)
    state = torch.get_rng_state()
    one, two = (smallest_distances(network, images, predicted, targets, Norm.L1, WEAK, seed=3) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_nothing_found_is_infinite_and_the_original() -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :2] * 1e-3 + torch.tensor([9.0, 0.0])

    images = images_of((1, 2, 2), 3)
    found = smallest_distances(Stubborn(), images, [0] * 3, [1] * 3, Norm.L2, WEAK, seed=0)
    assert found.distance.isinf().all()
    assert torch.equal(found.images, images)


class Cut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach().flatten(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.rand(2, 3)}, r"must be \(row, channel, height, width\)"),
        ({"images": 255 * torch.rand(2, 3, 4, 4)}, r"in \[0,1\]"),
        ({"targets": [1]}, "1 target classes for 2 images"),
        ({"targets": [0, 1]}, "is the predicted class"),
        ({"targets": [7, 1]}, "target class 7: the network has classes 0 to 3"),
        ({"network": Cut()}, "have no gradient with respect to the input"),
    ],
)
def test_what_cannot_be_attacked_is_refused(bent, change, message: str) -> None:
    arguments = {"network": bent, "images": images_of((3, 4, 4), 2), "predicted": [0, 0], "targets": [1, 2]} | change
    with pytest.raises(clever.InputError, match=message):
        smallest_distances(**arguments, norm=Norm.L2, strength=WEAK, seed=0)


@pytest.mark.parametrize("change", [{"steps": 0}, {"starts": 0}, {"rounds": -1}, {"steps": 1.5}, {"starts": True}])
def test_strength_is_checked_when_made(change) -> None:
    with pytest.raises(clever.InputError, match="must be a whole number of at least"):
        Strength(**change)


def test_carlini_and_wagner_alone_come_to_within_five_percent() -> None:
    network, images = affine(10, (3, 4, 4), 5), images_of((3, 4, 4))
    predicted, targets = classes_of(network, images)
    strength = Strength(starts=9, steps=300, method="carlini_wagner")  # as settings name it
    assert strength == Strength(starts=9, steps=300, method=Method.CARLINI_WAGNER)
    found = smallest_distances(network, images, predicted, targets, Norm.L2, strength, seed=0)
    with torch.no_grad():
        check(network, images, targets, Norm.L2, found)
    truth = torch.tensor([exact(network, x, j, Norm.L2) for x, j in zip(images, targets, strict=True)])
    assert float((found.distance / truth).min()) >= 1 - 1e-3
    assert float((found.distance / truth).max()) <= 1.05
    assert 0 < found.backwards <= planned_passes(Norm.L2, strength, clever.Identity()) == 9 * 300
    with pytest.raises(clever.InputError, match=r"method=carlini_wagner with attack\.norms=L1"):
        smallest_distances(network, images, predicted, targets, Norm.L1, strength, seed=0)
    with pytest.raises(clever.InputError, match="unknown method 'cw': it must be one of nearest, carlini_wagner"):
        Strength(method="cw")


def test_the_network_is_left_as_it_was(bent) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).train()
    images = images_of((3, 4, 4), 2)
    with frozen(network):
        predicted, targets = classes_of(network, images)
    smallest_distances(network, images, predicted, targets, Norm.L2, WEAK, seed=0)
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
