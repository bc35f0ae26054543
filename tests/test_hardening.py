"""Training to resist: what the network sees, by hand, and that it resists more; where nothing is asked, no change."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

import clever
from clever.attacks.search import Strength, smallest_distances
from clever.classifier.wrappers import Normalize
from clever.norms import Norm
from conftest import ROOT, composed
from pipeline.model.trained import CachedTraining
from pipeline.model.training import train
from pipeline.shared.models.checkpoint import load_state
from pipeline.shared.models.classifier import build_network, load_weights
from pipeline.shared.models.hardening import AdversarialTraining, Hardened, NoiseTraining
from test_training import SGD, lesson, network, same

IMAGES = 0.4 + 0.2 * torch.rand(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
RADII = {"L2": 0.1, "Linf": 0.02}


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(75, 2))


@pytest.mark.parametrize("norm", RADII)
def test_the_adversary_of_a_linear_network_is_the_steepest_change_of_that_length(linear, norm: str) -> None:
    radius = RADII[norm]
    change = AdversarialTraining(norm=norm, radius=radius, steps=8)(linear, IMAGES) - IMAGES
    away = linear[1].weight[1] - linear[1].weight[0]
    signs = torch.where(linear(IMAGES).argmax(1) == 0, 1.0, -1.0).unsqueeze(1)
    steepest = radius * (away.sign() if norm == "Linf" else away / away.norm())
    cosine = torch.nn.functional.cosine_similarity(change.flatten(1), signs * steepest)
    assert float(cosine.detach().min()) > 0.96  # what the random start leaves of itself
    torch.testing.assert_close(Norm.parse(norm).of(change), torch.full((8,), radius), rtol=1e-3, atol=0)


@pytest.mark.parametrize("norm", RADII)
def test_the_adversary_stays_in_ball_and_box_and_leaves_the_network_as_it_was(norm: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(75, 4)).train()
    before, images = deepcopy(network.state_dict()), IMAGES.clone()
    images[0] = 0
    seen = AdversarialTraining(norm=norm, radius=0.3, steps=3)(network, images)
    assert seen.amin() >= 0
    assert seen.amax() <= 1
    assert (Norm.parse(norm).of(seen - images) <= 0.3 + 1e-6).all()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_noise_has_its_standard_deviation() -> None:
    images = torch.full((400, 3, 8, 8), 0.5)
    noise = NoiseTraining(std=0.3)(nn.Identity(), images) - images
    assert float(noise.std()) == pytest.approx(0.3, rel=0.01)


def test_it_is_perturbed_in_training_alone(linear) -> None:
    hardened = Hardened(linear, NoiseTraining(std=0.3))
    assert not torch.equal(hardened.train()(IMAGES), linear(IMAGES))
    assert torch.equal(hardened.eval()(IMAGES), linear(IMAGES))


def test_the_same_seed_gives_the_same_weights_also_after_a_kill() -> None:
    """What is random in the perturbation comes from the generator that a snapshot keeps."""
    images, labels = lesson()
    states: list[dict] = []

    class Kept:
        def __init__(self, state: dict | None = None) -> None:
            self.state = state

        def load(self) -> dict | None:
            return self.state

        def save(self, state: dict) -> None:
            states.append(deepcopy(state))

    whole, resumed = (Hardened(network(), NoiseTraining(std=0.2)) for _ in range(2))
    train(whole, images, labels, SGD, Kept())
    train(resumed, images, labels, SGD, Kept(states[0]))
    assert same(whole, resumed)
    plain = network()
    train(plain, images, labels, SGD)
    assert not same(whole.network, plain)


def test_a_course_keeps_hardened_weights_apart_and_under_the_networks_own_names(tmp_path: Path) -> None:
    images, labels = lesson()
    pixels = (images * 255).round().to(torch.uint8).numpy()
    np.savez(tmp_path / "training.npz", images=pixels, labels=labels.numpy())
    made = {}
    for hardening in (None, NoiseTraining(std=0.2), NoiseTraining(std=0.4)):
        where = tmp_path / "training.npz", tmp_path / "store"
        course = CachedTraining(Normalize([0.5], [0.5]), *where, clever.Compute(), torch.device("cpu"), hardening)
        made[hardening] = network()
        course.fit(made[hardening], SGD, "train")
        again = network()
        course.fit(again, SGD, "train")  # from the store
        assert same(again, made[hardening])
    first, *others = made.values()
    assert not any(same(first, other) for other in others)
    assert len(list((tmp_path / "store").glob("*.npz"))) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoiseTraining(std=0), "the std of the noise is 0: it must be a positive number"),
        (lambda: AdversarialTraining(norm="L1", radius=1, steps=1), "it must be one of L2, Linf"),
        (lambda: AdversarialTraining(norm="L2", radius=-1, steps=1), "the radius of adversarial training is -1"),
        (lambda: AdversarialTraining(norm="L2", radius=1, steps=0), "the steps of adversarial training is 0"),
    ],
)
def test_bad_settings_are_refused(make, message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        make()


def test_the_configuration_names_what_each_network_was_trained_against() -> None:
    hardened = {
        name: instantiate(composed(f"model={name}", "weights=trained").weights).hardening
        for name in ("small_densenet", "small_densenet_noise", "small_densenet_adversarial")
    }
    assert list(hardened.values()) == [None, NoiseTraining(0.25), AdversarialTraining("L2", 1.5, 5)]


def test_the_published_networks_resist_more_the_harder_they_were_trained() -> None:
    images = torch.from_numpy(_digits()).float() / 255
    means = []
    for name in ("small_densenet", "small_densenet_noise", "small_densenet_adversarial"):
        network, normalize = build_network(composed(f"model={name}"))
        load_weights(network, load_state(ROOT / "data" / "weights" / f"{name}.pt"), name)
        complete = nn.Sequential(normalize, network).eval()
        with torch.no_grad():
            ranked = complete(images).argsort(1, descending=True)
        classes = ranked[:, 0].tolist(), ranked[:, 1].tolist()
        found = smallest_distances(complete, images, *classes, Norm.L2, Strength(steps=15, rounds=0), seed=0)
        means.append(float(found.distance.log().mean().exp()))
    assert means[0] < means[1] / 1.3
    assert means[1] < means[2] / 1.3


def _digits() -> np.ndarray:
    from pipeline.prepare.digits import Digits

    chosen = list(Digits(n_images=360, size=32).candidates(1215))[:6]
    return np.stack([candidate.load() for candidate in chosen])
