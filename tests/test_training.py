"""The training recipe: each of its numbers by hand, and the same weights however often it was killed."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

import clever
from clever.classifier.compute import Compute
from clever.classifier.wrappers import Normalize
from conftest import composed
from pipeline.model.optimisers import Nesterov, OneCycle
from pipeline.model.trained import CachedTraining, EpochFile, Trained, glorot
from pipeline.model.training import Recipe, Training, probabilities, train
from pipeline.shared.models.classifier import build_network
from pipeline.shared.models.networks.mnist import cnn

CPU = torch.device("cpu")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
SGD = Recipe(
    epochs=3,
    batch=8,
    learning_rate=0.1,
    seed=5,
    optimiser=Nesterov(momentum=0.9, decay=0.05),
    short_batch=True,
    held_out=6,
)


def network(dropout: float = 0.5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 3))


def lesson(count: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 4, 4, generator=generator)
    return images, (images.mean((1, 2, 3)) * 20).long() % 3


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_the_learning_rate_of_each_step_is_that_of_the_formula() -> None:
    optimiser, schedule = SGD.optimiser.build(network().parameters(), 0.1, 1000)
    rates = []
    for _ in range(1000):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.1 / (1 + 0.05 * step) for step in range(1000)], rel=1e-12)


def test_the_first_steps_by_hand() -> None:
    """Of Nesterov's momentum on softmax(logits / T), without dropout, every batch the whole set."""
    images, labels = lesson()
    recipe = replace(SGD, batch=34, epochs=3, temperature=7.0)
    trained, by_hand = network(0.0), network(0.0).double()
    train(trained, images, labels, recipe)
    velocity = [torch.zeros_like(parameter) for parameter in by_hand.parameters()]
    for step in range(3):
        log_probabilities = torch.log_softmax(by_hand(images[6:].double()) / 7, 1)
        loss = -log_probabilities[torch.arange(34), labels[6:]].mean()
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        rate = 0.1 / (1 + 0.05 * step)
        with torch.no_grad():
            for parameter, moving, gradient in zip(by_hand.parameters(), velocity, gradients, strict=True):
                moving.mul_(0.9).add_(gradient)
                parameter -= rate * (gradient + 0.9 * moving)
    for one, other in zip(trained.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-6)


def test_a_student_learns_its_teachers_probabilities_at_that_temperature() -> None:
    images, _ = lesson()
    teacher = network().eval()
    taught = probabilities(teacher, images, 100.0)
    with torch.no_grad():
        logits = teacher(images).double().numpy() / 100
    by_hand = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(taught.numpy(), by_hand, rtol=1e-5)
    student = network(0.0)
    glorot(student, 3)
    with torch.no_grad():
        own = student(images[6:]).double().numpy() / 100
    logged = own - np.log(np.exp(own).sum(1, keepdims=True))
    losses: list[float] = []
    recorded = Losses(losses)
    train(student, images, taught, replace(SGD, batch=34, epochs=1, temperature=100.0), recorded)
    assert recorded.done == [1]
    gradient = (np.exp(logged) - by_hand[6:]) / 100 / 34  # of the mean cross entropy, by the logits
    moved = 0.1 * 1.9 * gradient.sum(0)  # lr (g + m g) in the first step
    fresh = network(0.0)
    glorot(fresh, 3)
    np.testing.assert_allclose((fresh[4].bias - student[4].bias).detach().numpy(), moved, rtol=1e-3, atol=1e-9)


class Losses:
    """A snapshot that is never read."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.done = losses, list[int]()

    def load(self) -> None:
        return None

    def save(self, state: dict[str, Any]) -> None:
        self.done.append(state["done"])


def test_images_held_out_change_nothing() -> None:
    """Whatever they show, and whatever their labels say; one of the others does."""
    images, labels = lesson()
    other_images, other_labels = images.clone(), labels.clone()
    other_images[:6] = torch.rand(6, 1, 4, 4)
    other_labels[:6] = (labels[:6] + 1) % 3
    one, other, third = network(), network(), network()
    train(one, images, labels, SGD)
    train(other, other_images, other_labels, SGD)
    assert same(one, other)
    other_images[6] = torch.rand(1, 4, 4)
    train(third, other_images, other_labels, SGD)
    assert not same(one, third)


@pytest.mark.parametrize(("short_batch", "seen"), [(True, 34), (False, 32)])
def test_a_short_batch_is_the_rest_of_an_epoch(short_batch: bool, seen: int) -> None:
    images, labels = lesson()
    sizes: list[int] = []
    counted = network()
    counted.register_forward_hook(lambda module, inputs, _: sizes.append(len(inputs[0])) if module.training else None)
    train(counted, images, labels, replace(SGD, short_batch=short_batch, epochs=1))
    assert sum(sizes) == seen
    assert sizes[:-1] == [8] * (len(sizes) - 1)


def test_glorots_weights_reach_from_bound_to_bound_and_biases_are_zero() -> None:
    net = cnn()
    glorot(net, 1)
    kinds = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(kinds) == 7
    for module in kinds:
        weight = module.weight.detach()
        bound = (6 / (weight[0, 0].numel() * (weight.shape[0] + weight.shape[1]))) ** 0.5
        assert float(weight.abs().max()) <= bound
        assert float(weight.max()) > 0.9 * bound
        assert float(weight.min()) < -0.9 * bound
        assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not module.bias.any()
    again, other = cnn(), cnn()
    glorot(again, 1)
    glorot(other, 2)
    assert same(net, again)
    assert not same(net, other)


class Killed(Exception):
    pass


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("optimiser", [SGD.optimiser, OneCycle()])
def test_a_training_that_was_killed_ends_with_the_same_weights(optimiser, device, tmp_path: Path, monkeypatch) -> None:
    """After each of its epochs, with dropout, to the last bit; the last state that was kept is gone at the end."""
    images, labels = lesson()
    np.savez(tmp_path / "training.npz", images=(images * 255).byte().numpy(), labels=labels.numpy())
    recipe = replace(SGD, optimiser=optimiser, shift=1)

    def course(folder: str) -> CachedTraining:
        return CachedTraining(
            Normalize([0.5], [1.0]), tmp_path / "training.npz", tmp_path / folder, Compute(), torch.device(device)
        )

    whole = network()
    course("whole").fit(whole, recipe, "train")
    epochs: list[int] = []
    original = Training.epoch

    def once(self: Training, *arguments: Any) -> float:
        if len(epochs) % 2:
            epochs.append(0)
            raise Killed
        epochs.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(Training, "epoch", once)
    resumed = network()
    for _ in range(2):
        torch.manual_seed(77)  # whatever the process drew before
        with pytest.raises(Killed):
            course("killed").fit(network(), recipe, "train")
    course("killed").fit(resumed, recipe, "train")
    assert sum(epochs) == recipe.epochs
    assert same(whole, resumed)
    assert len(list((tmp_path / "killed").iterdir())) == 1
    again = network()
    course("killed").fit(again, recipe, "train")
    assert sum(epochs) == recipe.epochs  # from the store
    assert same(whole, again)


def test_a_last_epoch_that_is_damaged_is_not_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = EpochFile(tmp_path / "a.npz", "a")
    assert last.load() is None
    last.save({"done": 2})
    assert last.load() == {"done": 2}
    content = bytearray(last.path.read_bytes())
    content[len(content) // 2] ^= 1
    last.path.write_bytes(content)
    assert last.load() is None
    assert "cannot be used" in capsys.readouterr().err


def test_distillation_has_three_parts_of_which_two_begin_alike(tmp_path: Path, monkeypatch) -> None:
    """One epoch with the labels; teacher and student from there, at the temperature; the student is the result."""
    images, labels = lesson()
    np.savez(tmp_path / "training.npz", images=(images * 255).byte().numpy(), labels=labels.numpy())
    taken: list[tuple[Recipe, nn.Module, nn.Module, bool]] = []
    original = CachedTraining.fit

    def take(self: CachedTraining, net: nn.Module, recipe: Recipe, told: str, teacher: nn.Module | None = None) -> None:
        before = deepcopy(net)
        original(self, net, recipe, told, teacher)
        taken.append((recipe, before, deepcopy(net), teacher is not None))

    monkeypatch.setattr(CachedTraining, "fit", take)
    settings = vars(SGD) | {"temperature": 1.0, "initial": "glorot", "compute": {}}
    result = network()
    distilled = Trained(distillation={"temperature": 100.0, "start_epochs": 1}, **settings)
    where = {"training": tmp_path / "training.npz", "store": tmp_path / "store", "device": CPU}
    distilled.state(result, Normalize([0.5], [1.0]), **where)
    start, teacher, student = taken
    assert [(part[0].epochs, part[0].temperature, part[3]) for part in taken] == [
        (1, 1.0, False),
        (3, 100.0, False),
        (3, 100.0, True),
    ]
    assert same(start[2], teacher[1])
    assert same(start[2], student[1])
    assert same(result, student[2])
    assert not same(student[2], teacher[2])


def test_lower_precision_trains_a_copy_whose_weights_come_back(tmp_path: Path) -> None:
    images, labels = lesson()
    np.savez(tmp_path / "training.npz", images=(images * 255).byte().numpy(), labels=labels.numpy())

    def trained(**compute: str) -> nn.Module:
        net = network()
        course = CachedTraining(
            Normalize([0.5], [1.0]), tmp_path / "training.npz", tmp_path / str(compute), Compute(**compute), CPU
        )
        course.fit(net, SGD, "train")
        return net

    exact, rough = trained(), trained(precision="bfloat16")
    assert not same(network(), rough)
    assert not same(exact, rough)
    assert float((exact[1].weight - rough[1].weight).detach().abs().max()) < 0.05


@GPU
def test_a_gpu_trains_to_the_weights_of_the_processor_but_for_rounding(tmp_path: Path) -> None:
    images, labels = lesson()
    np.savez(tmp_path / "training.npz", images=(images * 255).byte().numpy(), labels=labels.numpy())
    trained = {}
    for device in (CPU, torch.device("cuda")):
        trained[device.type] = network(dropout=0.0)
        course = CachedTraining(
            Normalize([0.5], [1.0]), tmp_path / "training.npz", tmp_path / device.type, Compute(), device
        )
        course.fit(trained[device.type], SGD, "train")
        assert next(course.normalize.buffers()).device == CPU
    for one, other in zip(*(net.parameters() for net in trained.values()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mnist_mlp_3", "mnist_cnn_1", "mnist_distilled_0"])
def test_the_published_networks_are_trained_as_their_authors_did(name: str) -> None:
    config = composed(f"model={name}", "data=mnist", "weights=authors_recipe")
    weights = instantiate(config.weights)
    recipe = weights.recipe
    assert config.model.name == name
    assert recipe.seed == int(name[-1])
    assert (recipe.epochs, recipe.batch, recipe.short_batch, recipe.held_out, recipe.shift) == (50, 128, True, 5000, 0)
    assert recipe.steps(55_000) == 430
    rates = {"mnist_mlp_3": (0.1, 1e-3), "mnist_cnn_1": (0.01, 1e-6), "mnist_distilled_0": (0.01, 1e-6)}
    assert (recipe.learning_rate, recipe.optimiser) == (rates[name][0], Nesterov(0.9, rates[name][1]))
    assert (weights.distillation is not None) == ("distilled" in name)
    net, normalize = build_network(config)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == (814_090 if "mlp" in name else 312_202)
    assert normalize(torch.tensor([[[[0.0, 1.0]]]])).flatten().tolist() == [-0.5, 0.5]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"momentum": 1.0, "decay": 0.1}, "momentum is 1.0: it must be more than 0 and less than 1"),
        ({"momentum": 0.9, "decay": -1}, "decay is -1: it must be a number of at least 0"),
    ],
)
def test_optimisers_that_are_none(setting: dict[str, float], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        Nesterov(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"optimiser": None}, "optimiser is None: it must create a OneCycle or a Nesterov"),
        ({"temperature": 0}, "temperature is 0: it must be a positive number"),
        ({"held_out": -1}, "held_out is -1"),
        ({"shift": 0.5}, "shift is 0.5"),
        ({"short_batch": 1}, "short_batch is 1: it must be true or false"),
    ],
)
def test_recipes_that_are_none(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        replace(SGD, **setting)


@pytest.mark.parametrize(("setting", "message"), [({"held_out": 40}, "held_out is 40, but"), ({"batch": 35}, "are 34")])
def test_recipes_that_want_more_images(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        train(network(), *lesson(), replace(SGD, **setting))
