"""Random defenses: common draws, their mean, and what it costs; one's own transformations from a configuration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from torch import nn

import clever
from clever.classifier.margin import gradient_norms
from clever.defenses.bpda import bare_network
from clever.defenses.expectation import DRAWS_PER_PASS
from clever.defenses.random import Random
from clever.norms import Norm
from conftest import Project, composed
from pipeline.shared.models.classifier import build_defense
from pipeline.shared.store.fingerprint import classifier_key

BANK = clever.PatchBank.of(torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(9)), 4, 60, seed=0)
RANDOM: list[Random] = [
    clever.Noise(std=0.1),
    clever.Crop(fraction=0.7),
    clever.ResizePad(least=0.6),
    clever.TVMinimization(steps=5),
    clever.Quilting(BANK, neighbours=5),
    clever.Chain([clever.Noise(std=0.1), clever.BitDepth(), clever.Crop()]),
]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 12, 14, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 14, 8), nn.Tanh(), nn.Linear(8, 5)).requires_grad_(False)


@pytest.mark.parametrize("defense", RANDOM, ids=lambda defense: type(defense).__name__)
class TestDraws:
    def test_a_draw_is_the_same_for_every_image_and_call(self, defense: Random, images: torch.Tensor) -> None:
        seen = defense.drawn(3)(images)
        assert seen.shape == images.shape
        torch.rand(5)  # whatever the global generator has done
        for row in range(len(images)):
            assert torch.allclose(defense.drawn(3)(images[row : row + 1])[0], seen[row], atol=1e-6)

    def test_draws_and_seeds_differ(self, defense: Random, images: torch.Tensor) -> None:
        seen = [defense.drawn(index)(images) for index in range(6)]
        assert any(not torch.equal(seen[0], other) for other in seen[1:])
        assert len({repr(defense.drawn(index)) for index in range(6)}) == 6

    def test_other_processes_draw_the_same(self, defense: Random, images: torch.Tensor) -> None:
        draws = [defense.drawn(index) for index in range(3)]
        elsewhere = Parallel(n_jobs=2)(delayed(draw)(images) for draw in draws)
        for draw, result in zip(draws, elsewhere, strict=True):
            assert torch.equal(draw(images), result)

    def test_number_formats_draw_the_same(self, defense: Random, images: torch.Tensor) -> None:
        assert torch.allclose(defense.drawn(1)(images.double()).float(), defense.drawn(1)(images), atol=1e-5)


@pytest.mark.parametrize("bpda", [True, False])
@pytest.mark.parametrize("draws", [1, 3, DRAWS_PER_PASS + 3])
@pytest.mark.parametrize("pooling", ["logits", "probabilities"])
def test_the_classifier_is_the_mean_over_draws_and_so_is_its_gradient(
    images: torch.Tensor, network: nn.Module, draws: int, pooling: str, bpda: bool
) -> None:
    expectation = clever.Expectation(clever.Crop(fraction=0.7), draws=draws, first=2, pooling=pooling)
    defended = clever.Defended(network, expectation, bpda=bpda)
    x = images.clone().requires_grad_()
    singles = [clever.Defended(network, clever.Crop(fraction=0.7, draw=2 + k), bpda=bpda)(x) for k in range(draws)]
    if pooling == "logits":
        by_hand = sum(singles) / draws
    else:
        by_hand = (sum(single.softmax(1) for single in singles) / draws).log()
    assert torch.allclose(
        defended(images).diff(dim=1), by_hand.diff(dim=1), atol=1e-5
    )  # margins; logits up to a constant
    (expected,) = torch.autograd.grad((by_hand[:, 2] - by_hand[:, 0]).sum(), x)
    for norm in Norm:
        found = gradient_norms(defended, images, 2, [0], [norm])[:, 0, 0]
        assert torch.allclose(found, norm.of(expected), rtol=1e-4)


def test_a_pass_computed_again_has_second_derivatives_and_leaves_parameters_alone(
    images: torch.Tensor, network: nn.Module
) -> None:
    def curvature(draws: int) -> torch.Tensor:
        defense = clever.Expectation(clever.Crop(fraction=0.7), draws=draws)
        x = images.clone().requires_grad_()
        logits = clever.Defended(network, defense, bpda=False)(x)
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(gradient[:, 0].sum(), x)
        return draws * second

    first, all_but = curvature(DRAWS_PER_PASS), curvature(DRAWS_PER_PASS + 1) - curvature(DRAWS_PER_PASS)
    assert float(first.abs().max()) > 0
    alone = clever.Expectation(clever.Crop(fraction=0.7), draws=1, first=DRAWS_PER_PASS)
    x = images.clone().requires_grad_()
    logits = clever.Defended(network, alone, bpda=False)(x)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient[:, 0].sum(), x)
    assert torch.allclose(all_but, second, atol=1e-5)


def test_trained_parameters_get_the_gradient_of_all_draws(images: torch.Tensor, network: nn.Module) -> None:
    defense = clever.Expectation(clever.Noise(std=0.1), draws=DRAWS_PER_PASS + 1)
    network.requires_grad_(True)
    clever.Defended(network, defense)(images).sum().backward()
    by_hand = sum(network(view(images)).sum() for view in defense.views) / len(defense.views)
    weight = network[1].weight
    (expected,) = torch.autograd.grad(by_hand, weight)
    assert torch.allclose(weight.grad, expected, rtol=1e-4, atol=1e-5)


class Held:
    """A tensor that autograd keeps, and how many bytes of them there are at once."""

    bytes, most = 0, 0

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        Held.bytes += tensor.nbytes
        Held.most = max(Held.most, Held.bytes)

    def __del__(self) -> None:
        Held.bytes -= self.tensor.nbytes


def test_many_draws_hold_the_memory_of_one_pass() -> None:
    convolutions = [layer for _ in range(6) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.Tanh())]
    network = nn.Sequential(nn.Conv2d(3, 16, 1), *convolutions, nn.Flatten(), nn.Linear(16 * 16 * 16, 3))
    network.requires_grad_(False)
    points = torch.rand(2, 3, 16, 16)

    def most(draws: int) -> int:
        defended = clever.Defended(network, clever.Expectation(clever.Noise(), draws=draws))
        Held.most = 0
        with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
            gradient_norms(defended, points, 0, [1, 2], [Norm.L2])
        return Held.most

    assert 0.9 * most(DRAWS_PER_PASS) < most(8 * DRAWS_PER_PASS) < 1.5 * most(DRAWS_PER_PASS)


def test_scores_behind_an_expectation_are_those_of_the_mean(images: torch.Tensor) -> None:
    """Affine networks have exact scores, and behind noise with logits averaged they stay affine."""
    linear = nn.Linear(3 * 12 * 14, 3).requires_grad_(False)
    network = clever.Defended(nn.Sequential(nn.Flatten(), linear), clever.Expectation(clever.Noise(std=0.2), draws=5))
    settings = clever.paper(n_batches=10, n_samples=4, radius={"L2": 50.0}, seed=1)
    (score,) = clever.score(network, images[:1], settings, targets=["top2"], norms=["L2"], progress=False)
    with torch.no_grad():
        logits = torch.stack([network.network(view(images[:1])) for view in network.defense.views]).mean(0)[0]
    best, second = logits.topk(2).indices.tolist()
    exact = (logits[best] - logits[second]) / (linear.weight[best] - linear.weight[second]).norm()
    assert score.score == pytest.approx(float(exact), rel=1e-4)
    assert (score.predicted, score.target_class) == (best, second)


def test_a_figure_is_shown_the_first_draw(images: torch.Tensor) -> None:
    noise = clever.Noise(std=0.1, seed=4)
    assert torch.equal(clever.Expectation(noise, draws=3, first=7)(images), noise.drawn(7)(images))


def test_an_expectation_is_not_one_network_behind_one_map(network: nn.Module) -> None:
    """Methods that work on t's side, at t(x), have no single t(x) here."""
    assert bare_network(clever.Defended(network, clever.Expectation(clever.Noise(), draws=2))) is None
    assert bare_network(clever.Defended(network, clever.Noise())) is not None


def test_what_decides_the_numbers_names_seed_draws_and_bank(network: nn.Module) -> None:
    other = clever.PatchBank(BANK.patches.flip(0))
    kinds = [
        clever.Expectation(clever.Noise(), draws=3),
        clever.Expectation(clever.Noise(), draws=4),
        clever.Expectation(clever.Noise(), draws=3, first=1),
        clever.Expectation(clever.Noise(seed=1), draws=3),
        clever.Expectation(clever.Noise(), draws=3, pooling="probabilities"),
        clever.Quilting(BANK),
        clever.Quilting(other),
    ]
    assert len({repr(classifier_key(clever.Defended(network, kind), None)) for kind in kinds}) == len(kinds)


@dataclass(frozen=True)
class Darker:
    """One's own defense, differentiable."""

    share: float

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.share


@dataclass(frozen=True)
class Posterized:
    """One's own defense, outside torch and without a derivative."""

    levels: int

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.round(images.detach().numpy() * self.levels) / self.levels)


@dataclass(frozen=True)
class Shifted(clever.Seeded):
    """One's own random defense."""

    most: int = 3

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        by = int(torch.randint(1, self.most + 1, (), generator=self.generator(images)))
        return images.roll(by, dims=3)


@dataclass(frozen=True)
class Transposed:
    """What changes the shape, though not the number of numbers."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images.mT


def of_ones_own(name: str, *overrides: str) -> clever.Expectation:
    return build_defense(composed(f"defense._target_=test_random_defenses.{name}", *overrides))


def test_ones_own_differentiable_defense_has_its_gradient_or_the_identitys(
    images: torch.Tensor, network: nn.Module
) -> None:
    darker = of_ones_own("Darker", "+defense.share=0.5")
    true, bpda = (
        gradient_norms(clever.Defended(network, darker, bpda=bpda), images, 0, [1], [Norm.L2]) for bpda in (False, True)
    )
    assert torch.allclose(2 * true, bpda)


def test_ones_own_defense_without_gradient_goes_with_bpda(images: torch.Tensor, network: nn.Module) -> None:
    posterized = of_ones_own("Posterized", "+defense.levels=7")
    norms = gradient_norms(clever.Defended(network, posterized), images, 0, [1], [Norm.L2])
    assert torch.equal(norms, gradient_norms(network, clever.Quantize(levels=8)(images), 0, [1], [Norm.L2]))
    with pytest.raises(clever.InputError, match=r"wrap the non-differentiable part in clever\.BPDA"):
        gradient_norms(clever.Defended(network, posterized, bpda=False), images, 0, [1], [Norm.L2])


def test_ones_own_random_defense_is_averaged_like_any_other(images: torch.Tensor, network: nn.Module) -> None:
    own = ["_target_=test_random_defenses.Shifted", "seed=3"]
    overrides = ["defense.draws=4", "~defense.transformation.std", "+defense.transformation.most=5"]
    overrides += [f"defense.transformation.{setting}" for setting in own]
    defense = build_defense(composed("defense=noise", *overrides))
    expected = sum(network(Shifted(most=5, seed=3, draw=draw)(images)) for draw in range(4)) / 4
    assert torch.allclose(clever.Defended(network, defense)(images), expected, atol=1e-6)


@pytest.mark.parametrize("bpda", [True, False])
def test_a_transformation_that_changes_the_shape_is_refused(images: torch.Tensor, bpda: bool) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 14, 3))
    settings = clever.paper(n_batches=10, n_samples=4)
    for defense in (Transposed(), clever.Expectation(clever.Chain([clever.Noise(), Transposed()]), draws=2)):
        with pytest.raises(clever.InputError, match=r"returns \(\d, 3, 14, 12\) of torch.float32 for images"):
            clever.score(clever.Defended(network, defense, bpda=bpda), images, settings, progress=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: clever.Expectation(clever.Noise(), draws=0), "the number of draws is 0: it must be a whole number"),
        (lambda: clever.Expectation(clever.Noise(), first=-1), "the first draw is -1"),
        (lambda: clever.Expectation(clever.Noise(), pooling="median"), "one of logits, probabilities"),
        (lambda: clever.Expectation(clever.JPEG()), "nothing in JPEG.* is random"),
        (lambda: clever.Expectation(clever.Chain([clever.JPEG(), clever.PNG()])), "nothing in Chain.* is random"),
        (lambda: clever.Expectation(clever.Quilting(BANK)), "nothing in Quilting.* is random"),
        (lambda: clever.Chain([clever.Expectation(clever.Noise())]), "a chain cannot contain an Expectation"),
        (lambda: clever.Noise(std=0), "the std of noise is 0: it must be positive"),
        (lambda: clever.Noise(seed=-1), "the seed of a random defense is -1"),
        (lambda: clever.Noise(draw=1.5), "the draw of a random defense is 1.5"),
        (lambda: build_defense(composed("defense=noise", "defense.draws=0")), "the number of draws is 0"),
    ],
)
def test_wrong_parameters_are_named(make: object, message: str) -> None:
    with pytest.raises(Exception, match=message) as raised:
        make()  # type: ignore[operator]
    assert isinstance(raised.value.__cause__ or raised.value, clever.InputError)


def test_the_configurations_bank_is_of_the_training_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 9), dtype=np.uint8)
    np.savez(tmp_path / "training.npz", images=pixels, labels=np.zeros(2))
    settings = ["defense=quilting", f"defense.training={tmp_path}/training.npz", "defense.size=4"]
    own = torch.from_numpy(pixels).float() / 255
    assert torch.equal(build_defense(composed(*settings))(own), own)
    assert repr(build_defense(composed(*settings, "defense.count=50"))) == repr(
        build_defense(composed(*settings, "defense.count=50"))
    )
    averaged = build_defense(composed(*settings, "defense.neighbours=3", "defense.draws=4"))
    assert len({repr(view) for view in averaged.views}) == 4
    with pytest.raises(Exception, match="quilting needs training images"):
        build_defense(composed(*settings, f"defense.training={tmp_path}/none.npz"))
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(Exception, match="it must contain 8-bit images"):
        build_defense(composed(*settings, f"defense.training={tmp_path}/other.npz"))


def test_stages_score_and_attack_what_is_behind_an_expectation(project: Project) -> None:
    few = ("defense=noise", "defense.draws=3", "defense.transformation.std=0.02", "norms=[L2]", "targets=[top2]")
    project.stage("score", *few, "results_dir=scores")
    project.stage("attack", *few, "results_dir=attacks")
    scores = pd.read_csv(project.folder / "scores" / "scores.csv")
    distances = pd.read_csv(project.folder / "attacks" / "distances.csv")
    assert len(scores) == len(distances) > 0
    assert scores.score.gt(0).all()
    project.stage("score", *few, "defense.transformation.seed=7", "results_dir=other")  # the draws' seed alone
    assert not pd.read_csv(project.folder / "other" / "scores.csv").score.equals(scores.score)


def test_the_stage_score_quilts_with_the_prepared_training_images(project: Project) -> None:
    few = ("defense=quilting", "defense.count=2000", "score.n_images=1", "norms=[L2]", "targets=[top2]")
    project.stage("score", *few, "results_dir=scores")
    examples = np.load(project.folder / "scores" / "examples.npz")
    training = torch.from_numpy(np.load(project.folder / "data/prepared/digits/training.npz")["images"])
    bank = clever.PatchBank.of(training, 5, 2000, seed=1215)
    quilting = clever.Quilting(clever.PatchBank(bank.patches / 255))
    assert torch.equal(quilting(torch.from_numpy(examples["original"])), torch.from_numpy(examples["defended"]))
