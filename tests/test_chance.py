"""Attacks on random defenses: success among fresh draws, and the same on every machine."""

import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import clever
from clever.attacks.cost import planned_passes
from clever.attacks.criterion import HELD_OUT, UNSEEN, SuccessCriterion, random_transformation
from clever.attacks.search import Found, Strength, smallest_distances
from clever.defenses.capabilities import has_useful_gradient
from clever.norms import Norm
from conftest import Project, composed
from pipeline.attack.run import attacked_classifier
from test_attacks import affine, classes_of, exact, images_of
from test_shards import content, slurm_is_up

SHAPE = (3, 4, 4)
NOISE = clever.Noise(std=0.1, seed=5)
STRENGTH = Strength(steps=25, rounds=0)
FEW = ("norms=[L2]", "targets=[top2]", "attack.draws=7", "score.n_images=2")


@pytest.fixture
def bare() -> nn.Sequential:
    return affine(4, SHAPE).requires_grad_(False)


@pytest.fixture
def images() -> torch.Tensor:
    return images_of(SHAPE, 8)


def attacked(network: nn.Module, images: torch.Tensor, **settings: object) -> tuple[Found, list[int]]:
    predicted, targets = classes_of(network, images)
    found = smallest_distances(
        network,
        images,
        predicted,
        targets,
        Norm.L2,
        STRENGTH,
        seed=0,
        criterion=SuccessCriterion(**{"draws": 40} | settings),
    )
    return found, targets


def share(bare: nn.Module, images: torch.Tensor, targets: list[int], first: int, draws: int) -> torch.Tensor:
    """By hand: of the draws from that one on, those that take each image for its target class."""
    votes = [bare(NOISE.drawn(first + k)(images)).argmax(1) == torch.tensor(targets) for k in range(draws)]
    return torch.stack(votes).float().mean(0)


def test_the_rate_is_the_share_of_fresh_draws_and_what_is_found_convinces_mean_and_majority(bare, images) -> None:
    network = clever.Defended(bare, clever.Expectation(NOISE, draws=5))
    found, targets = attacked(network, images)
    assert found.distance.isfinite().all()
    assert torch.equal(network(found.images).argmax(1), torch.tensor(targets))
    torch.testing.assert_close(found.rate, share(bare, found.images, targets, HELD_OUT, 40))
    torch.testing.assert_close(found.unseen, share(bare, found.images, targets, UNSEEN, 40))
    assert (found.rate > 0.5).all()
    torch.testing.assert_close(found.distance, Norm.L2.of(found.images - images))


def test_it_comes_about_as_near_as_the_boundary_of_the_mean_allows(bare, images) -> None:
    """The mean over draws is affine here, its nearest image known; a majority asks for more."""
    defense = clever.Expectation(NOISE, draws=16)
    found, targets = attacked(clever.Defended(bare, defense), images)
    shift = torch.stack([view(torch.zeros(1, *SHAPE))[0] for view in defense.views]).mean(0)
    mean = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))
    mean[1].weight.data, mean[1].bias.data = bare[1].weight, bare[1].bias + bare[1].weight @ shift.flatten()
    least = [exact(mean, image, target, Norm.L2) for image, target in zip(images, targets, strict=True)]
    ratio = found.distance / torch.tensor(least)
    assert float(ratio.min()) > 0.999
    assert float(ratio.median()) < 2


def test_more_draws_to_convince_take_a_larger_change(bare, images) -> None:
    network, found = clever.Defended(bare, clever.Expectation(NOISE, draws=5)), {}
    for threshold in (0.2, 0.5, 0.9):
        found[threshold], _ = attacked(network, images, threshold=threshold)
        assert (found[threshold].rate[found[threshold].distance.isfinite()] > threshold).all()
    means = [float(of.distance.mean()) for of in found.values()]
    assert means[0] < means[1] < means[2]


def test_a_single_draw_of_a_random_defense_has_a_rate_too(bare, images) -> None:
    found, targets = attacked(clever.Defended(bare, NOISE), images)
    torch.testing.assert_close(found.rate, share(bare, found.images, targets, HELD_OUT, 40))


@pytest.mark.parametrize("defense", [clever.Identity(), clever.Median(), clever.Chain([clever.PNG(), clever.Median()])])
def test_where_nothing_is_random_there_is_no_rate_and_chance_decides_nothing(bare, images, defense) -> None:
    network = clever.Defended(bare, defense)
    assert random_transformation(network) is None
    one, two = (attacked(network, images, **of)[0] for of in ({}, {"threshold": 0.9}))
    assert one.rate.isnan().all()
    assert one.unseen.isnan().all()
    assert torch.equal(one.distance, two.distance)


def test_what_was_not_found_has_no_rate(bare, images) -> None:
    class Stubborn(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = bare(images)
            return torch.cat([logits[:, :1].detach() * 0 + 1e3 + logits[:, :1], logits[:, 1:]], 1)

    network = clever.Defended(Stubborn(), clever.Expectation(NOISE, draws=2))
    found, _ = attacked(network, images)
    assert found.distance.isinf().all()
    assert found.rate.isnan().all()
    assert found.unseen.isnan().all()


def test_passes_are_counted_draw_by_draw_and_planned(bare, images) -> None:
    defense = clever.Expectation(NOISE, draws=5)
    found, _ = attacked(clever.Defended(bare, defense), images)
    alone, _ = attacked(bare, images)
    assert found.backwards == 5 * alone.backwards
    assert found.forwards > 5 * alone.forwards
    planned = [planned_passes(Norm.L2, STRENGTH, of, criterion=SuccessCriterion(draws=40)) for of in (defense, NOISE)]
    # forward passes alone are half a pass, and one is over all draws
    assert 0.4 < planned[0] * 5 / ((found.forwards + found.backwards) / 2) < 2.5
    assert planned[1] > planned[0] > planned_passes(Norm.L2, STRENGTH, clever.Identity())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 0}, "attack.draws is 0: it must be a whole number from 1 to"),
        ({"threshold": 1}, "attack.threshold is 1: it must be at least 0 and less than 1"),
        ({"threshold": -0.1}, "attack.threshold is -0.1"),
        ({"threshold": True}, "attack.threshold is True"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        replace(SuccessCriterion(), **change)


@pytest.mark.parametrize(
    ("defense", "own"),
    [
        (clever.Identity(), False),
        (clever.JPEG(), False),
        (clever.TVMinimization(), False),
        (clever.Median(), True),
        (clever.Expectation(clever.Crop(), draws=2), True),
        (clever.Expectation(clever.Chain([clever.PNG(), NOISE]), draws=2), False),
        (clever.Chain([clever.GaussianBlur(), NOISE]), True),
    ],
)
def test_attacks_go_back_through_the_derivative_of_what_has_a_good_one(bare, defense, own: bool) -> None:
    network = clever.Defended(bare, defense)
    assert (attacked_classifier(composed(), network).defense, has_useful_gradient(defense)) == (defense, own)
    assert isinstance(attacked_classifier(composed(), network).transformation, clever.BPDA) != own
    for bpda in (True, False):
        given = attacked_classifier(composed(f"attack.bpda={bpda}"), network)
        assert isinstance(given.transformation, clever.BPDA) == bpda


@dataclass(frozen=True)
class Brighter:
    """One's own defense with a gradient."""

    by: float

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return (images + self.by).clamp(0, 1)


@dataclass(frozen=True)
class Coarse:
    """One's own defense outside torch, without a gradient."""

    levels: int

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.round(images.detach().numpy() * self.levels) / np.float32(self.levels))


@dataclass(frozen=True)
class Moved(clever.Seeded):
    """One's own random defense."""

    most: int = 1

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        down, right = torch.randint(-self.most, self.most + 1, (2,), generator=self.generator(images)).tolist()
        return images.roll((down, right), dims=(2, 3))


@dataclass(frozen=True)
class Cropped:
    """What changes the shape."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :, 1:]


def of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name)


def stages(project: Project, *overrides: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    for stage in ("score", "attack"):
        project.stage(stage, *FEW, f"results_dir={stage}s", *overrides)
    return of(project.folder / "scores", "scores.csv"), of(project.folder / "attacks", "distances.csv")


@pytest.mark.parametrize(
    ("overrides", "random"),
    [
        (["defense._target_=test_chance.Brighter", "+defense.by=0.1", "bpda=false"], False),
        (["defense._target_=test_chance.Coarse", "+defense.levels=9"], False),
        (["defense._target_=test_chance.Moved", "attack.bpda=false"], True),
        (
            [
                *("defense=noise", "defense.draws=3", "defense.transformation._target_=test_chance.Moved"),
                *("~defense.transformation.std", "attack.bpda=false"),
            ],
            True,
        ),
    ],
    ids=["with a gradient", "without", "random, one draw", "random, the mean over draws"],
)
def test_ones_own_transformation_is_scored_and_attacked_by_its_name(project, overrides, random: bool) -> None:
    scores, distances = stages(project, "attack.steps=20", *overrides)
    assert len(scores) == len(distances) == 2
    assert (scores.score > 0).all()
    assert ("rate" in distances) == random
    if random:
        found = distances[np.isfinite(distances.distance)]
        assert len(found) or "defense=noise" not in overrides
        assert (found.rate > 0.5).all()
        assert found.rate_unseen.between(0, 1).all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["defense=quilting", "defense.size=40"], "patches of 40 x 40"),
        (["defense=quilting", "defense.training=nowhere.npz"], "quilting needs training images"),
        (["defense=tv_minimization", "defense.transformation.dropout=0"], "is 0: it must be greater than 0"),
        (["defense=tv_minimization", "defense.transformation.dropout=1"], "is 1: it must be greater than 0"),
        (["defense=noise", "defense.draws=0"], "the number of draws is 0: it must be a whole number of at least 1"),
        (["defense=noise", "defense.first=-1"], "the first draw is -1"),
        (["defense._target_=test_chance.Cropped"], r"it must keep their shape and dtype"),
        (["defense=median", "defense.size=33"], "the median filter of 33 x 33 pixels is larger than images"),
    ],
)
@pytest.mark.parametrize("stage", ["score", "attack"])
def test_bad_defenses_are_refused_before_any_work(project, stage: str, overrides: list[str], message: str) -> None:
    shown = project.stage(stage, *FEW, *overrides, code=2)
    assert message in shown.stderr
    assert not content(project, "maxima", "attacks")


def test_what_is_found_again_has_its_rate_and_settings_of_chance_decide_where_something_is_random(project) -> None:
    def attack(*overrides: str) -> tuple[pd.DataFrame, int]:
        project.stage("attack", *FEW, "score.n_images=1", "attack.steps=2", "results_dir=run", *overrides)
        folder = project.folder / "run"
        return of(folder, "distances.csv"), json.loads((folder / "run.json").read_text())["attacks_computed"]

    noise = ("defense=noise", "defense.draws=2")
    first, computed = attack(*noise)
    again, none = attack(*noise)
    assert computed > none == 0
    pd.testing.assert_frame_equal(first, again)
    for change in ("attack.draws=8", "attack.threshold=0.6", "defense.first=2"):
        assert attack(*noise, change)[1] > 0, change
    assert attack()[1] > 0
    assert attack("attack.draws=8", "attack.threshold=0.6")[1] == 0


SWEEP = ("-m", "experiment=own")


def own_experiment(project: Project, launcher: str) -> None:
    """Of random draws one cell, of the bank of patches another one."""
    settings = "norms: [L2]\ntargets: [top2]\nattack: {steps: 3, draws: 5}\nscore: {n_images: 1}\n"
    settings += "sampling: {n_batches: 6, n_samples: 4}\n"
    project.experiment("own", launcher, settings, defense="noise,quilting")


def numbers(project: Project) -> dict[str, bytes]:
    paths = [*project.folder.glob("results/own/*/*/scores.csv"), *project.folder.glob("results/own/*/*/distances.csv")]
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths}


def test_the_same_seed_gives_the_same_numbers_in_one_process_and_in_joblibs(project: Project) -> None:
    own_experiment(project, "basic")
    project.stage("model", "experiment=own")
    for stage in ("score", "attack"):
        project.stage(stage, *SWEEP, tiny="")
    alone, kept = numbers(project), content(project, "maxima", "attacks")
    assert len(alone) == 4
    shutil.rmtree(project.folder / "store")
    shutil.rmtree(project.folder / "results")
    own_experiment(project, "processes")
    for stage in ("score", "attack"):
        project.stage(stage, *SWEEP, "hydra.launcher.n_jobs=2", tiny="")
    assert numbers(project) == alone
    assert content(project, "maxima", "attacks") == kept


@pytest.mark.slurm
@pytest.mark.skipif(not slurm_is_up(), reason="no Slurm here: tests/one_node_slurm.sh starts one, as root")
def test_and_on_slurm(project: Project) -> None:
    own_experiment(project, "basic")
    project.stage("model", "experiment=own")
    for stage in ("score", "attack"):
        project.stage(stage, *SWEEP, tiny="")
    alone = numbers(project)
    shutil.rmtree(project.folder / "store")
    shutil.rmtree(project.folder / "results")
    own_experiment(project, "slurm")
    for stage in ("score", "attack"):
        project.stage(stage, *SWEEP, tiny="")
    assert numbers(project) == alone


def test_tables_and_figures_of_networks_behind_random_defenses(project: Project) -> None:
    settings = "norms: [L2]\ntargets: [top2]\nattack: {steps: 5, draws: 5}\nscore: {n_images: 2}\n"
    settings += "sampling: {n_batches: 6, n_samples: 4}\n"
    project.experiment(
        "nets", "basic", settings,
        model="small_densenet,small_densenet_adversarial", defense="noise", defense__draws="1,2",
    )  # fmt: skip
    project.whole("nets", tiny="")
    folder = project.folder / "results" / "nets"
    tables = {name: of(folder / "tables", f"{name}.csv") for name in ("defenses", "draws", "networks", "agreement")}
    assert tables["defenses"].gradient.gt(0).all()
    assert tables["defenses"].rate.dropna().gt(0.5).all()
    assert set(zip(tables["draws"].way, tables["draws"].draws, strict=True)) >= {("expectation", 1), ("expectation", 2)}
    assert set(tables["networks"].network) == {"small_densenet", "small_densenet_adversarial"}
    assert tables["agreement"].by_attack.str.count("<").eq(1).all()
    shown = (folder / "tables" / "tables.md").read_text()
    for title in ("Robustness and cost of each defense", "Scores by the number of draws", "Order of the networks"):
        assert title in shown
    assert "rate, unseen draws" in shown
    for name in ("networks", "draws"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 5000
    assert math.isfinite(tables["networks"].score.sum())
