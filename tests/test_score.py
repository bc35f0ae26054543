"""The public call: exact where the answer is known, the same numbers however it runs, clear where it cannot."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import clever
from clever._internal.capacity import Capacity
from clever.bounds.first_order import FirstOrder
from clever.classifier.image_context import ImageContext, image_contexts
from clever.sampling.samplers import direct_sampler
from clever.scoring.engine import score_image

RADII = {"L1": 30.0, "L2": 3.0, "Linf": 0.1}
DUAL = {"L1": math.inf, "L2": 2.0, "Linf": 1.0}
SMALL = {"n_batches": 6, "n_samples": 20, "radius": RADII}
SETTINGS = clever.reference_code(**SMALL, reference="defended")


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def affine() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 7))


@pytest.fixture
def bent() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 32), nn.Tanh(), nn.Linear(32, 7))


def scored(network: nn.Module, images: torch.Tensor, settings: clever.Settings, **options: object) -> pd.DataFrame:
    options = {"progress": False} | options
    return pd.DataFrame(score.row() for score in clever.score(network, images, settings, **options))


@pytest.mark.parametrize("estimator", ["mle_reg", "mle", "maximum"])
@pytest.mark.parametrize("preset", [clever.paper, clever.reference_code])
def test_an_affine_network_is_scored_exactly(
    affine: nn.Sequential, images: torch.Tensor, preset, estimator: str
) -> None:
    radii = {"L1": 3.0, "L2": 0.8, "Linf": 0.01}  # some scores reach them, some do not
    settings = preset(n_batches=6, n_samples=20, radius=radii, cap=True, estimator=estimator)
    linear, logits = affine[1].weight.detach(), affine(images).detach()
    capped = set()
    for index, group in scored(affine, images, settings).groupby(np.arange(27) // 9):
        for row in group.itertuples():
            w = linear[row.predicted] - linear[row.target_class]
            margin = float(logits[index, row.predicted] - logits[index, row.target_class])
            bound = margin / float(torch.linalg.vector_norm(w, DUAL[row.norm]))
            expected = min(bound, row.radius)
            assert row.score == pytest.approx(expected, rel=1e-5)
            assert row.capped == (bound >= expected * (1 + 1e-6))
            capped.add(row.capped)
    assert capped == {True, False}


def test_without_a_cap_the_score_goes_beyond_the_radius(affine: nn.Sequential, images: torch.Tensor) -> None:
    settings = clever.paper(**SMALL | {"radius": {"L2": 1e-3}}, cap=False)
    table = scored(affine, images, settings, norms=["L2"])
    assert (table.score > 1e-3).all()
    assert not table.capped.any()


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_a_margin_without_gradient_is_unbounded_or_capped(bent: nn.Sequential, images: torch.Tensor) -> None:
    masked = clever.Defended(bent, clever.Quantize(levels=8), bpda=False)
    unbounded = scored(masked, images, clever.paper(**SMALL, cap=False))
    assert np.isinf(unbounded.score).all()
    at_radius = scored(masked, images, clever.paper(**SMALL))
    assert (at_radius.score == at_radius.radius).all()
    assert at_radius.capped.all()
    assert at_radius.end_point_degenerate.all()


def test_untargeted_is_the_minimum_over_all_classes(bent: nn.Sequential, images: torch.Tensor) -> None:
    every = scored(bent, images, SETTINGS, targets=["untargeted"])
    predicted = bent(images).argmax(1).tolist()
    for index, name in enumerate(every.image.unique()):
        others = [label for label in range(7) if label != predicted[index]]
        single = scored(bent, images[index], SETTINGS, targets=others)
        for norm, group in single.groupby("norm"):
            row = every[(every.image == name) & (every.norm == norm)].iloc[0]
            smallest = group.loc[group.score.idxmin()]
            assert row.score == pytest.approx(smallest.score, rel=1e-6)
            assert row.target_class == smallest.target_class
            for end in ("low", "high"):  # those of the class chosen
                assert row[end] == pytest.approx(smallest[end], rel=1e-6, nan_ok=True)


def test_named_targets_are_the_classes_they_say(bent: nn.Sequential, images: torch.Tensor) -> None:
    ranked = bent(images).argsort(1, descending=True)
    table = scored(bent, images, SETTINGS, norms=["L2"])
    for index, group in table.groupby(np.arange(9) // 3):
        classes = dict(zip(group.target, group.target_class, strict=True))
        assert classes["top2"] == ranked[index, 1]
        assert classes["least"] == ranked[index, -1]
        assert classes["random"] in ranked[index, 2:-1].tolist()  # reference_code's rule


def test_the_same_arguments_give_the_same_numbers(bent: nn.Sequential, images: torch.Tensor) -> None:
    first = scored(bent, images, SETTINGS)
    torch.rand(10)  # the global generator has no say
    assert scored(bent, images, SETTINGS).equals(first)
    alone = scored(bent, images[1], SETTINGS)
    assert np.allclose(alone.score, first.score[9:18], rtol=1e-6)
    other = scored(bent, images, clever.reference_code(**SMALL, reference="defended", seed=7))
    assert not np.allclose(other.score, first.score)


@pytest.mark.parametrize("size", [1, 5, 64])
def test_the_hardware_batch_changes_no_score(bent, images: torch.Tensor, size: int, monkeypatch) -> None:
    expected = scored(bent, images, SETTINGS)
    monkeypatch.setattr(Capacity, "estimate", classmethod(lambda cls, measure, point: cls(size)))
    assert np.allclose(scored(bent, images, SETTINGS).score, expected.score, rtol=1e-5)


def test_shared_points_serve_all_norms(bent: nn.Sequential, images: torch.Tensor) -> None:
    shared = scored(bent, images, clever.reference_code(**SMALL, clip=False))
    # what of each norm's balls the L2 ball holds: all of L1's of the same radius, and cubes up to R / sqrt(d)
    held = {"L1": RADII["L2"], "L2": RADII["L2"], "Linf": RADII["L2"] / 108**0.5}
    assert np.allclose(shared.radius, shared.norm.map(held))
    own = scored(bent, images, clever.reference_code(**SMALL, shared_points=False, clip=False))
    assert set(own.radius) == set(RADII.values())
    same = shared.norm == "L2"
    assert np.allclose(shared.score[same], own.score[same])
    assert not np.allclose(shared.score[~same], own.score[~same])
    clipped = scored(bent, images, clever.reference_code(**SMALL))
    assert (clipped.farthest_sample < RADII["L2"]).all()
    assert np.allclose(clipped.radius, clipped.farthest_sample / clipped.norm.map({"L1": 1, "L2": 1, "Linf": 108**0.5}))


def test_the_reference_decides_who_predicts(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    steep = nn.Sequential(nn.Flatten(), nn.Linear(108, 7))
    defended = clever.Defended(steep, clever.Quantize(levels=2))
    by = {
        reference: scored(defended, images, clever.paper(**SMALL, reference=reference), targets=["top2"], norms=["L2"])
        for reference in ("defended", "undefended")
    }
    for reference, network in (("defended", defended), ("undefended", steep)):
        top = network(images).detach().sort(1, descending=True).values
        assert np.allclose(by[reference].margin, top[:, 0] - top[:, 1], rtol=1e-5)
    assert not np.allclose(by["defended"].margin, by["undefended"].margin)


def test_the_network_is_left_as_it_was(bent: nn.Sequential, images: torch.Tensor) -> None:
    bent.train()
    bent[1].weight.requires_grad_(False)
    scored(bent, images[0], SETTINGS, norms=["L2"])
    assert bent.training
    assert bent[2].training
    assert [p.requires_grad for p in bent.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in bent.parameters())


def test_one_forward_pass_serves_all_targets(bent: nn.Sequential, images: torch.Tensor) -> None:
    forwards = []
    bent.register_forward_hook(lambda *_: forwards.append(1))
    list(image_contexts(bent, images[:1], ["top2"], SETTINGS))
    context = next(iter(image_contexts(bent, images[:1], ["top2", "least", "random"], SETTINGS)))
    forwards.clear()
    norms, sampler = ["L1", "L2", "Linf"], direct_sampler(lambda _: None)
    score_image(bent, images[0], context, SETTINGS, norms=norms, order=FirstOrder(), sampler=sampler)
    # one ball of 6 x 20 points in passes of up to 256, and one point to see what a pass needs
    assert len(forwards) == 2


def test_a_derivative_that_is_nan_at_the_image_itself_is_named(images: torch.Tensor) -> None:
    """The square root has none at a black pixel."""

    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = x.flatten(1)[:, 0].sqrt() + 1
            return torch.stack([first, first * 0], 1)

    black = images.clone()
    black[1, 0, 0, 0] = 0
    with pytest.raises(clever.NotFinite, match="NaN or infinite at image 1 itself"):
        clever.score(Root(), black, SETTINGS, targets=["top2"], progress=False)


def test_a_result_is_a_row_and_keeps_its_maxima(bent: nn.Sequential, images: torch.Tensor) -> None:
    result = clever.score(bent, images[0], SETTINGS, targets=["top2"], norms=["L2"], progress=False)[0]
    assert result.maxima.shape == (6,)
    assert result.end_point.sample_maximum == pytest.approx(float(result.maxima.max()))
    row = result.row()
    assert row["end_point"] == result.end_point.value
    assert row["end_point_ks_pvalue"] == result.end_point.ks_pvalue
    assert "maxima" not in row
    assert all(isinstance(value, str | bool | int | float) for value in row.values())


def test_progress_tells_what_is_left(bent: nn.Sequential, images: torch.Tensor, capsys) -> None:
    clever.score(bent, images, SETTINGS, norms=["L2"], progress=True)
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert "1.08k/1.08k" in shown  # 3 images x 3 targets x 6 x 20
    clever.score(bent, images, SETTINGS, norms=["L2"], progress=False)
    assert capsys.readouterr().err == ""


class Broken(nn.Module):
    """NaN where the first pixel is above a threshold."""

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network, self.threshold = network, threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.network(x)
        return torch.where(x[:, 0, 0, :1] > self.threshold, torch.nan, logits)


class Cut(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach().flatten(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, x: (Broken(n, -1), x, {}), r"NaN or infinite logits for image\(s\) 0"),
        (
            lambda n, x: (Broken(n, float(x[:, 0, 0, 0].max())), x, {}),
            r"NaN or infinite at \d+ of 120 points, the first of them point \d+ of batch 0 in the L1 ball",
        ),
        (lambda n, x: (Cut(), x, {}), "are not differentiable in the input"),
        (lambda n, x: (nn.Flatten(0), x, {}), r"returns \(108,\) for 1 images"),
        (lambda n, x: (n, x * 255, {}), r"in \[0,1\], with normalisation inside"),
        (lambda n, x: (n, (x * 255).int(), {}), r"int32: they must be floating-point numbers in \[0,1\], or uint8"),
        (lambda n, x: (n, x, {"targets": [7]}), "classes 0 to 6"),
        (lambda n, x: (n, x, {"targets": ["top3"]}), "unknown target 'top3': it must be one of top2, random, least"),
        (lambda n, x: (n, x, {"targets": []}), "no target"),
        (lambda n, x: (n, x, {"targets": [int(n(x[:1]).argmax())]}), "is the predicted class"),
        (lambda n, x: (n, x, {"norms": ["L3"]}), "unknown norm 'L3': it must be one of L1, L2, Linf"),
    ],
)
def test_what_cannot_be_scored_says_why(bent: nn.Sequential, images: torch.Tensor, change, message: str) -> None:
    network, x, options = change(bent, images)
    with pytest.raises(clever.InputError, match=message):
        clever.score(network, x, clever.paper(**SMALL), progress=False, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_batches": 4}, "n_batches is 4: the estimator mle needs at least 5"),
        ({"n_samples": 1}, "n_samples is 1"),
        ({"n_samples": 2.5}, "n_samples is 2.5"),
        ({"radius": {"L2": 0}}, "radius of the L2 ball is 0"),
        ({"radius": {"L4": 1}}, "unknown norm 'L4'"),
        ({"radius": {"L2": "wide"}}, "radius of the L2 ball is 'wide': it must be a number"),
        ({"radius": 3.0}, "must map each norm to its radius"),
        ({"cap": "no"}, "cap is 'no': it must be true or false"),
        ({"seed": -1}, "seed is -1: it must be a whole number from 0 to"),
        ({"law": "normal"}, "unknown law 'normal': it must be one of uniform, reference_code"),
        ({"reference": "both"}, "unknown reference 'both'"),
        ({"random_target": "no"}, "unknown random target 'no'"),
        ({"estimator": "best"}, "unknown estimator 'best': it must be one of mle_reg, mle, maximum"),
    ],
)
def test_settings_are_checked_when_made(changes: dict[str, object], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        clever.paper(**changes)


def test_a_norm_without_radius_is_named(bent: nn.Sequential, images: torch.Tensor) -> None:
    with pytest.raises(clever.InputError, match=r"no radius for the Linf ball: settings\.radius has L2"):
        clever.score(bent, images, clever.paper(radius={"L2": 1.0}), norms=["Linf"], progress=False)


def test_a_larger_network_gets_a_smaller_pass() -> None:
    def passed(width: int) -> int:
        layers = [nn.Conv2d(3, width, 3, padding=1), *[nn.Conv2d(width, width, 3, padding=1) for _ in range(4)]]
        net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * 64 * 64, 2)).eval()
        context = ImageContext(0, "image", 3 * 64 * 64, 0, {}, {}, {})
        return Capacity.estimate(FirstOrder().measure(net, torch.empty(0), context, [1]), torch.rand(3, 64, 64)).size

    assert passed(4) > passed(64) >= 1
