"""Golden values: the numbers that the store keeps, on a tiny network. They may change only with their version.

``python tests/test_golden_values.py`` writes them anew; it refuses other numbers of the same version.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import clever
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.bounds.power_iteration import PowerIteration
from clever.norms import Norm
from pipeline.model.optimisers import Nesterov, OneCycle
from pipeline.model.training import Recipe, train
from pipeline.shared.models.hardening import AdversarialTraining, Hardened, NoiseTraining
from pipeline.shared.store import number_versions

VALUES = Path(__file__).with_name("golden_values.json")
VERSIONS = {"sampling": "SAMPLING_VERSION", "attack": "ATTACK_VERSION", "training": "TRAINING_VERSION"}
CLOSE = {"sampling": 1e-3, "attack": 1e-2, "training": 1e-3}
"""The relative difference that another CPU makes at most, with a margin."""
NORMS = ("L1", "L2", "Linf")
RADIUS = {"L1": 6.0, "L2": 1.0, "Linf": 0.1}


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


IMAGES = (random(2, 3, 8, 8, seed=1) * 255).round() / 255


def linear(inputs: int, outputs: int, seed: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -2 / inputs**0.5, 2 / inputs**0.5, generator=generator)
    return layer


def network() -> nn.Module:
    layers = clever.Normalize([0.5] * 3, [0.5] * 3), nn.Flatten(), linear(192, 24, 2), nn.Softplus(), linear(24, 5, 3)
    return nn.Sequential(*layers).eval().requires_grad_(False)


JPEG = clever.JPEG(quality=60)
LEVELS = clever.Quantize(levels=12)
BANK = clever.PatchBank.of(random(4, 3, 8, 8, seed=4), size=3, count=200, seed=5)
DEFENSES: dict[str, object] = {
    "identity": clever.Identity(),
    "quantize": LEVELS,
    "png": clever.PNG(),
    "bit_depth": clever.BitDepth(bits=3),
    "bit_depth truncate": clever.BitDepth(bits=3, rounding="truncate"),
    "jpeg": JPEG,
    "jpeg 4:4:4": clever.JPEG(quality=30, subsampling="4:4:4"),
    "chain": clever.Chain([clever.BitDepth(bits=4), JPEG]),
    "median": clever.Median(size=3),
    "gaussian_blur": clever.GaussianBlur(sigma=0.6),
    "crop": clever.Expectation(clever.Crop(fraction=0.7), draws=3),
    "resize_pad": clever.Expectation(clever.ResizePad(least=0.7), draws=3, pooling="probabilities"),
    "noise": clever.Expectation(clever.Noise(std=0.1), draws=3),
    "tv_minimization": clever.Expectation(clever.TVMinimization(steps=20), draws=2),
    "quilting": clever.Quilting(BANK),
    "quilting drawn": clever.Expectation(clever.Quilting(BANK, neighbours=3), draws=2),
}
STAIRCASES = ("quantize", "png", "bit_depth", "bit_depth truncate", "jpeg", "jpeg 4:4:4", "chain")
POWER = clever.SecondOrder(solver=PowerIteration(max_steps=60))


def maxima(
    defense: str = "identity",
    order: object = clever.FirstOrder(),
    *,
    bpda: bool = True,
    backward: object = None,
    **settings: object,
) -> Callable[[], list[float]]:
    """Makes the batch maxima of one image and all norms, and how far the points reach."""

    def numbers() -> list[float]:
        classifier = clever.Defended(network(), DEFENSES[defense], bpda=bpda, backward=backward)
        common = {"n_batches": 2, "n_samples": 12, "radius": RADIUS, "estimator": "maximum", "floor": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", clever.GradientMasking)  # a staircase without BPDA: zeros are its numbers
            scores = clever.score(
                classifier,
                IMAGES[:1],
                clever.Settings(**common | {"clip": True} | settings),
                targets=["top2"],
                norms=NORMS,
                order=order,
                progress=False,
            )
        return [float(value) for score in scores for value in [*score.maxima, score.farthest_sample]]

    return numbers


def sampling() -> dict[str, Callable[[], list[float]]]:
    cases = {f"{name} first_order": maxima(name) for name in DEFENSES}
    cases |= {f"{name} no_bpda": maxima(name, bpda=False) for name in DEFENSES if name != "identity"}
    cases |= {f"{name} gauge": maxima(name, clever.Gauge()) for name in ("identity", *STAIRCASES[:6])}
    cases |= {
        f"{name} smooth": maxima(name, backward=clever.Smooth(DEFENSES[name])) for name in ("quantize", "jpeg", "chain")
    }
    cases["chain smooth_jpeg"] = maxima("chain", backward=clever.Smooth(DEFENSES["chain"], jpeg_only=True))
    cases["second_order lanczos"] = maxima(order=clever.SecondOrder())
    cases["second_order lanczos formed"] = maxima(order=clever.SecondOrder(dense_hessian_max_dim=192))
    cases["second_order power_iteration"] = maxima(order=POWER)
    cases["gaussian_blur second_order"] = maxima("gaussian_blur", clever.SecondOrder(), bpda=False)
    for law in ("uniform", "reference_code"):
        for clip in (True, False):
            cases[f"law {law} clip {clip}"] = maxima(law=law, clip=clip)
    cases["shared points"] = maxima(shared_points=True)
    cases["segments"] = maxima("quantize", segments=True)
    cases["seed"] = maxima(seed=7)
    cases["undefended reference"] = maxima("jpeg", reference="undefended")
    return cases


def distances(
    defense: str, norm: str, *, bpda: bool = True, backward: object = None, **strength: object
) -> Callable[[], list[float]]:
    """Makes the distances of both images."""

    def numbers() -> list[float]:
        classifier = clever.Defended(network(), DEFENSES[defense], bpda=bpda, backward=backward).eval()
        ranked = classifier(IMAGES).argsort(1, descending=True)
        found = smallest_distances(
            classifier,
            IMAGES,
            ranked[:, 0].tolist(),
            ranked[:, 1].tolist(),
            Norm(norm),
            Strength(**{"steps": 16, "rounds": 10} | strength),
            seed=11,
        )
        return [float(distance) for distance in found.distance]

    return numbers


def attack() -> dict[str, Callable[[], list[float]]]:
    cases = {}
    for norm in NORMS:
        for name in ("identity", "quantize", "bit_depth truncate", "jpeg", "chain", "median", "noise", "quilting"):
            cases[f"{name} {norm}"] = distances(name, norm)
        cases[f"gaussian_blur no_bpda {norm}"] = distances("gaussian_blur", norm, bpda=False)
        smooth = clever.Smooth(JPEG, jpeg_only=True)
        cases[f"jpeg smooth_jpeg {norm}"] = distances("jpeg", norm, backward=smooth, starts=2)
    cases["identity carlini_wagner"] = distances("identity", "L2", method="carlini_wagner", steps=80, starts=6)
    return cases


def weights(perturbation: object = None, **recipe: object) -> Callable[[], list[float]]:
    """Makes the mean and the standard deviation of each parameter of a network that was trained for two epochs."""

    def numbers() -> list[float]:
        net = network().requires_grad_(True)
        images, labels = random(24, 3, 8, 8, seed=6), torch.arange(24) % 5
        common = {"epochs": 2, "batch": 5, "learning_rate": 0.01, "seed": 8, "optimiser": OneCycle()}
        train(net if perturbation is None else Hardened(net, perturbation), images, labels, Recipe(**common | recipe))
        return [
            float(number)
            for parameter in net.parameters()
            for number in (parameter.detach().mean(), parameter.detach().std())
        ]

    return numbers


def training() -> dict[str, Callable[[], list[float]]]:
    return {
        "one_cycle": weights(),
        "nesterov": weights(optimiser=Nesterov(momentum=0.9, decay=0.01), short_batch=True),
        "temperature and shift": weights(temperature=5.0, shift=1, held_out=4),
        "curvature": weights(curvature=0.1),
        "noise": weights(NoiseTraining(std=0.2)),
        "adversarial L2": weights(AdversarialTraining("L2", radius=0.5, steps=2)),
        "adversarial Linf": weights(AdversarialTraining("Linf", radius=0.05, steps=2)),
    }


CASES = {"sampling": sampling(), "attack": attack(), "training": training()}


@pytest.fixture(scope="module")
def kept() -> dict[str, dict[str, object]]:
    return json.loads(VALUES.read_text())


def advice(kind: str) -> str:
    where = Path(number_versions.__file__).relative_to(Path(__file__).parents[1])
    return (
        f"If that is meant, raise {VERSIONS[kind]} in {where}, so that nothing that the old code stored is used, then "
        f"`python tests/{Path(__file__).name}` writes the new values; if not, the change is a mistake"
    )


def expected(kind: str, numbers: object) -> object:
    return pytest.approx(numbers, rel=CLOSE[kind], abs=1e-5)


@pytest.mark.parametrize("kind", VERSIONS)
def test_the_values_are_of_this_version_and_of_these_cases(kind: str, kept: dict[str, dict[str, object]]) -> None:
    version = getattr(number_versions, VERSIONS[kind])
    assert kept["versions"][VERSIONS[kind]] == version, f"values of another {VERSIONS[kind]}. {advice(kind)}"
    assert list(kept[kind]) == list(CASES[kind]), f"other cases than {VALUES.name} has. {advice(kind)}"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CASES for name in CASES[kind]])
def test_the_numbers_are_those_of_their_version(kind: str, name: str, kept: dict[str, dict[str, object]]) -> None:
    assert CASES[kind][name]() == expected(kind, kept[kind][name]), (
        f"{kind}: other numbers for {name!r}. {advice(kind)}"
    )


def write() -> None:
    """Refused where a number changed without its version."""
    found: dict[str, object] = {"versions": {name: getattr(number_versions, name) for name in VERSIONS.values()}}
    for kind, cases in CASES.items():
        found[kind] = {name: [float(f"{number:.6g}") for number in make()] for name, make in cases.items()}
    old = json.loads(VALUES.read_text()) if VALUES.exists() else {}
    for kind, version in VERSIONS.items():
        if old and old["versions"][version] == found["versions"][version]:
            for name in old[kind].keys() & found[kind].keys():
                if found[kind][name] != expected(kind, old[kind][name]):
                    raise SystemExit(f"{kind}: other numbers for {name!r}. {advice(kind)}")
    lines = [f" {json.dumps(kind)}: {_lines(numbers)}" for kind, numbers in found.items()]
    VALUES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _lines(numbers: dict[str, object]) -> str:
    """A case a line, so that a diff shows which ones changed."""
    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in numbers.items()) + "\n }"


if __name__ == "__main__":
    write()
