"""`clever.attack`: exact on affine networks, every image verified, results that show and export themselves."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import clever
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.attacks.verified import verify
from clever.norms import Norm
from test_attacks import affine, images_of

SHAPE = (3, 4, 4)
QUICK = {"steps": 20, "progress": False}


@pytest.fixture(scope="module")
def curved() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 5)).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return images_of(SHAPE, 4)


@pytest.fixture(scope="module")
def distances(curved: nn.Module, images: Tensor) -> clever.Distances:
    names = ["<a>", "b", "c", "d"]
    return clever.attack(curved, images, targets=["top2", "untargeted"], norms=["L2", "Linf"], names=names, **QUICK)


class Stubborn(nn.Module):
    """No image is of the second class, though the logits depend on it."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2] * 1e-3 + torch.tensor([9.0, 0.0])


@pytest.mark.parametrize("norm", Norm)
def test_of_an_affine_network_the_distance_is_the_margin_over_the_dual_norm(norm: Norm) -> None:
    network, images = affine(2, SHAPE, gain=2), images_of(SHAPE, 6)
    found = clever.attack(network, images, norms=[str(norm)], progress=False)
    weight, logits = network[1].weight.detach().double(), network(images).detach().double()
    margins = (logits[:, 0] - logits[:, 1]).abs()
    difference = (weight[0] - weight[1]).unsqueeze(0)
    truth = (margins / norm.dual.of(difference)).tolist()
    assert [one.distance for one in found] == pytest.approx(truth, rel=1e-3)
    assert all(one.distance >= exact * (1 - 1e-4) for one, exact in zip(found, truth, strict=True))


def test_every_image_found_is_verified(curved: nn.Module, images: Tensor, distances: clever.Distances) -> None:
    assert [(one.image_index, one.target, one.norm) for one in distances] == [
        (index, target, norm) for index in range(4) for target in ("top2", "untargeted") for norm in ("L2", "Linf")
    ]
    order = curved(images).argsort(1, descending=True)
    for one in distances:
        assert one.adversarial is not None
        assert 0 <= float(one.adversarial.min()) <= float(one.adversarial.max()) <= 1
        assert int(curved(one.adversarial.unsqueeze(0)).argmax()) == one.target_class != one.predicted
        assert one.predicted == int(order[one.image_index, 0])
        change = (one.adversarial - images[one.image_index]).double().unsqueeze(0)
        assert one.distance == pytest.approx(float(Norm.parse(one.norm).of(change)), rel=1e-6)
    for top2, untargeted in zip(distances[0::4], distances[2::4], strict=True):
        assert top2.target_class == int(order[top2.image_index, 1])
        assert untargeted.distance <= top2.distance


def test_it_finds_what_the_engine_of_the_stage_finds(curved: nn.Module, images: Tensor) -> None:
    found = clever.attack(curved, images, norms="L2", seed=3, **QUICK)
    classes = [one.predicted for one in found], [one.target_class for one in found]
    stage = smallest_distances(curved, images, *classes, Norm.L2, Strength(steps=20), seed=3)
    assert [one.distance for one in found] == pytest.approx(stage.distance.tolist(), rel=1e-4)


@pytest.mark.parametrize("defense", [clever.PNG(), clever.Quantize(16), clever.JPEG()], ids=lambda d: type(d).__name__)
def test_behind_a_defense_it_is_the_defended_network_that_is_changed(defense, images: Tensor) -> None:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 32), nn.Tanh(), nn.Linear(32, 4))
    images, defended = images_of((3, 16, 16), 3), clever.Defended(network, defense)
    found = clever.attack(defended, images, norms="L2", **QUICK)
    assert {one.remarks for one in found} == {""}
    for one in found:
        assert int(defended(one.adversarial.unsqueeze(0)).argmax()) == one.target_class
    assert found.run["defense"] == repr(defense)
    assert found.run["backward"] == "'identity'"


def test_behind_a_random_defense_held_out_draws_agree(curved: nn.Module, images: Tensor) -> None:
    defended = clever.Defended(curved, clever.Expectation(clever.Noise(std=0.05), draws=4))
    found = clever.attack(defended, images, norms="L2", **QUICK)
    assert all(0.5 < one.rate <= 1 and 0 <= one.rate_unseen <= 1 for one in found)
    assert {"rate", "rate_unseen"} <= {*found.to_frame().columns}
    assert "rate" in repr(found).splitlines()[1].split()


def test_a_defense_with_a_useful_gradient_is_attacked_by_it(curved: nn.Module, images: Tensor) -> None:
    found = {
        bpda: clever.attack(clever.Defended(curved, clever.Median(3), bpda=bpda), images, steps=10, progress=False)
        for bpda in (True, False)
    }
    assert [row.distance for row in found[True]] == [row.distance for row in found[False]]
    assert any(math.isfinite(row.distance) for row in found[True])


def test_what_is_not_found_is_said() -> None:
    found = clever.attack(Stubborn(), images_of((1, 2, 2), 3), norms="L2", **QUICK)
    assert [(one.distance, one.adversarial, one.remarks) for one in found] == [(math.inf, None, "not found")] * 3
    title, _, line, *_ = repr(found).splitlines()
    assert title == "3 adversarial distances of 3 images, in [0,1]-pixel units; 3 not found"
    assert line.split()[-3:] == ["inf", "not", "found"]
    assert [row["distance"] for row in json.loads(found.to_json())["distances"]] == ["Infinity"] * 3
    assert np.isinf(pd.read_csv(io.StringIO(found.to_csv())).distance).all()


def test_only_an_image_that_is_verified_alone_is_returned() -> None:
    network, original = affine(2, (1, 1, 2)), torch.tensor([[[0.5, 0.5]]])
    weight = network[1].weight.detach()
    network[1].weight.data, network[1].bias.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0.0, 0.3])
    assert weight.shape == (2, 2)
    before = torch.tensor([[[0.3001, 0.5]]])  # still of the first class, by a little
    image, distance = verify(network, original, before, 1, Norm.L2)
    assert int(network(image.unsqueeze(0)).argmax()) == 1
    assert 0.2 <= distance <= 0.2 * 1.01
    assert verify(network, original, torch.tensor([[[0.4, 0.5]]]), 1, Norm.L2) == (None, math.inf)


def test_the_same_arguments_give_the_same_and_random_generators_are_left_alone(curved, images: Tensor) -> None:
    defended = clever.Defended(curved.train(), clever.Quantize(16))
    torch.manual_seed(5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    one, two = (clever.attack(defended, images, targets="random", norms="L1", **QUICK) for _ in range(2))
    assert list(one) == list(two)
    assert all(torch.equal(a.adversarial, b.adversarial) for a, b in zip(one, two, strict=True))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert curved.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in curved.parameters())
    curved.eval()


def test_a_random_target_is_that_of_the_score(curved: nn.Module, images: Tensor) -> None:
    settings = clever.paper(n_batches=5, n_samples=8)
    scores = clever.score(curved, images, settings, targets=["random"], norms=["L2"], progress=False)
    found = clever.attack(curved, images, targets="random", norms="L2", steps=1, progress=False)
    assert [one.target_class for one in found] == [one.target_class for one in scores]
    assert [one.image for one in found] == [one.image for one in scores]


def test_misclassified_images_are_left_out(curved: nn.Module, images: Tensor) -> None:
    labels = curved(images).argmax(1)
    labels[1] = (labels[1] + 1) % 5
    found = clever.attack(curved, TensorDataset(images, labels), norms="L2", steps=1, progress=False)
    assert ([one.image_index for one in found], found.left_out) == ([0, 2, 3], (1,))
    assert [one.label for one in found] == labels[[0, 2, 3]].tolist()
    assert "1 left out as misclassified" in repr(found)
    with pytest.warns(UserWarning, match="all 4 images are left out"):
        none = clever.attack(curved, images, (labels + 2) % 5, norms="L2", steps=1, progress=False)
    assert len(none) == 0
    with pytest.raises(clever.InputError, match="no distance to plot"):
        none.plot()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norms": []}, "no norm: choose from L1, L2, Linf"),
        ({"norms": ["L3"]}, "unknown norm 'L3': it must be one of L1, L2, Linf"),
        ({"targets": ["top3"]}, "unknown target 'top3': it must be one of top2, random, least, untargeted or a class"),
        ({"targets": [9]}, "target class 9: the network has classes 0 to 4"),
        ({"targets": []}, "no target"),
        ({"method": "cw"}, "unknown method 'cw': it must be one of nearest, carlini_wagner"),
        ({"method": "carlini_wagner", "norms": ["Linf"]}, "it supports L2 only"),
        ({"steps": 0}, "steps is 0: it must be a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"names": ["one"]}, "1 names for 4 images"),
        ({"images": 2 * images_of(SHAPE, 4)}, r"they must be float32 or float64 numbers in \[0,1\]"),
    ],
)
def test_what_cannot_be_attacked_says_why(curved, images: Tensor, change: dict[str, object], message: str) -> None:
    arguments = {"images": images, "progress": False} | change
    with pytest.raises(clever.InputError, match=message):
        clever.attack(curved, **arguments)


def test_a_sequence_whose_slices_are_distances(distances: clever.Distances) -> None:
    assert len(distances) == 4 * 2 * 2
    assert isinstance(distances[0], clever.Distance)
    assert isinstance(distances[:5], clever.Distances)
    assert (list(distances[:5]), distances[:2].run) == ([*distances][:5], distances.run)
    assert repr(distances[0]).startswith(f"<Distance image 0: class {distances[0].predicted} to")
    shown = distances._repr_html_()
    assert shown.count("<tr>") == 17
    assert "<td>&lt;a&gt;</td><td>0</td>" in shown


def test_exports_hold_what_was_found(distances: clever.Distances, tmp_path) -> None:
    table = distances.to_frame()
    assert table.distance.tolist() == [one.distance for one in distances]
    assert table.name.tolist() == [name for name in ("<a>", "b", "c", "d") for _ in range(4)]
    assert not {"adversarial", "label", "rate"} & {*table.columns}
    assert distances.to_csv(tmp_path / "distances.csv") is None
    assert distances.to_json(tmp_path / "distances.json") is None
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "distances.csv"), table)
    document = json.loads((tmp_path / "distances.json").read_text(), parse_constant=pytest.fail)
    assert (document["format"], document["version"]) == ("clever-distances", 1)
    assert pd.DataFrame(document["distances"]).equals(table)
    assert document["run"]["strength"] == {"steps": 20, "starts": 1, "rounds": 200, "method": "nearest"}
    assert len(document["run"]["network"]["weights_sha256"]) == 64


def test_a_plot_shows_every_distance(distances: clever.Distances) -> None:
    figure = distances.plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["L2 distance (pixel units)", "Linf distance (pixel units)"]
    for axes, norm in zip(figure.axes, ("L2", "Linf"), strict=True):
        shown = [float(value) for line in axes.lines for value in line.get_ydata()]
        assert sorted(shown) == pytest.approx(sorted(one.distance for one in distances if one.norm == norm))
    stubborn = clever.attack(Stubborn(), images_of((1, 2, 2), 2), norms="L2", steps=1, progress=False).plot()
    (hollow,) = (line for line in stubborn.axes[0].lines if len(line.get_ydata()))
    assert (hollow.get_markerfacecolor(), len(hollow.get_ydata())) == ("none", 2)


def test_progress_is_shown_unless_turned_off(curved, images: Tensor, capsys) -> None:
    clever.attack(curved, images[:1], norms="L2", steps=1)
    assert "1/1" in capsys.readouterr().err
    clever.attack(curved, images[:1], norms="L2", steps=1, progress=False)
    assert capsys.readouterr().err == ""
