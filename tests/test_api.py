"""How people call the library: any form of images in, a result that shows itself and goes into files out."""

import dataclasses
import enum
import io
import itertools
import json
import math
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import clever
from clever.extreme_value.estimators import EndPoint
from clever.inputs.images import image_batch
from clever.results import record

SETTINGS = clever.paper(n_batches=5, n_samples=8, radius={"L2": 3.0, "Linf": 0.1})
ONE = {"targets": ["top2"], "norms": ["L2"], "progress": False}


@pytest.fixture
def images() -> torch.Tensor:
    """Multiples of 1/255, so that uint8 holds them exactly."""
    levels = torch.randint(0, 256, (4, 3, 6, 6), generator=torch.Generator().manual_seed(1))
    return levels.float().div(255)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 32), nn.Tanh(), nn.Linear(32, 7))


@pytest.fixture
def scores(network: nn.Sequential, images: torch.Tensor) -> clever.Scores:
    labels = network(images).argmax(1)
    return clever.score(network, images, SETTINGS, norms=["L2", "Linf"], labels=labels, progress=False)


class Items(Dataset):
    """As torch's own, it never raises IndexError: iterating over it by index would never end."""

    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        return self.items[index % len(self.items)]


class Stream(IterableDataset):
    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __iter__(self):
        return iter(self.items)


def pixels(images: torch.Tensor) -> np.ndarray:
    return images.mul(255).round().byte().numpy()


def pictures(images: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.transpose(1, 2, 0)) for image in pixels(images)]


FORMS = {
    "tensor": lambda x, y: x,
    "tensor of double precision": lambda x, y: x.double(),
    "tensor of bytes": lambda x, y: torch.from_numpy(pixels(x)),
    "array": lambda x, y: x.numpy(),
    "array of bytes": lambda x, y: pixels(x),
    "list of tensors": lambda x, y: list(x),
    "list of pictures": lambda x, y: pictures(x),
    "generator": lambda x, y: (image.numpy() for image in x),
    "loader": lambda x, y: DataLoader(TensorDataset(x, y), batch_size=3),
    "loader without labels": lambda x, y: DataLoader(TensorDataset(x), batch_size=3),
    "data set": lambda x, y: TensorDataset(x, y),
    "data set of pictures": lambda x, y: Items(list(zip(pictures(x), y.tolist(), strict=True))),
    "data set without an end": lambda x, y: Stream(list(zip(x, y, strict=True))),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_images_give_the_same_scores(network, images: torch.Tensor, form: str) -> None:
    labels = network(images).argmax(1)
    expected = [score.score for score in clever.score(network, images, SETTINGS, **ONE)]
    found = clever.score(network, FORMS[form](images, labels), SETTINGS, **ONE)
    assert [score.score for score in found] == pytest.approx(expected, rel=1e-5)
    told = form == "loader" or form.startswith("data set")
    assert [score.label for score in found] == (labels.tolist() if told else [None] * 4)


def test_images_of_torchvision(network, images: torch.Tensor, tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    labels = network(images).argmax(1).tolist()
    for index, (picture, label) in enumerate(zip(pictures(images), labels, strict=True)):
        (tmp_path / f"class{label}").mkdir(exist_ok=True)
        picture.save(tmp_path / f"class{label}" / f"{index}.png")
    found = clever.score(network, ((picture, None) for picture, _ in datasets.ImageFolder(tmp_path)), SETTINGS, **ONE)
    expected = clever.score(network, images, SETTINGS, **ONE)
    assert sorted(score.score for score in found) == pytest.approx(sorted(s.score for s in expected), rel=1e-5)


def test_device_and_type_follow_the_network(network, images: torch.Tensor) -> None:
    assert image_batch(images, network.double()).images.dtype == torch.float64
    assert image_batch(images.double(), network.float()).images.dtype == torch.float32
    assert image_batch(images, network.to("meta")).images.device.type == "meta"
    (score,) = clever.score(nn.Sequential(nn.Flatten(), nn.Linear(108, 3)).double(), images[0], SETTINGS, **ONE)
    assert math.isfinite(score.score)


def test_misclassified_images_are_left_out_and_the_others_keep_their_index(network, images: torch.Tensor) -> None:
    labels = network(images).argmax(1)
    labels[1] = (labels[1] + 1) % 7
    found = clever.score(network, TensorDataset(images, labels), SETTINGS, **ONE)
    assert [score.image_index for score in found] == [0, 2, 3]
    assert [score.label for score in found] == labels[[0, 2, 3]].tolist()
    assert found.left_out == (1,)
    assert "3 CLEVER scores of 3 images, distances in [0,1]-pixel units; 1 left out as misclassified" in repr(found)
    with pytest.warns(UserWarning, match="all 4 images are left out as misclassified"):
        none = clever.score(network, images, SETTINGS, labels=(labels + 2) % 7, **ONE)
    assert len(none) == 0
    assert "0 CLEVER scores of 0 images" in repr(none)
    with pytest.raises(clever.InputError, match="no score to plot"):
        none.plot()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda x: x.numpy().transpose(0, 2, 3, 1),
            {},
            r"\(4, 6, 6, 3\) has its channels last.*transpose\(0, 3, 1, 2\)",
        ),
        (lambda x: pixels(x).astype(int), {}, "images of int64: they must be floating-point numbers in"),
        (lambda x: [], {}, "list contains no images"),
        (lambda x: torch.empty(0, 3, 6, 6), {}, r"shape \(0, 3, 6, 6\): there must be at least one"),
        (lambda x: x[0, 0], {}, r"shape \(6, 6\)|shape \(1, 6, 6\)"),
        (lambda x: [x[0], x[1, :, :5]], {}, r"\(3, 6, 6\) and \(3, 5, 6\): all shapes must be equal"),
        (lambda x: ["cat.png"], {}, "image 0 is a str: it must be a tensor, an array or a PIL image"),
        (lambda x: 7, {}, "images is of type int: it must be a tensor"),
        (lambda x: [Image.new("RGBA", (6, 6))], {}, "has mode RGBA: use convert"),
        (lambda x: x, {"labels": [1, 2]}, r"labels of shape \(2,\) and type int64 for 4 images"),
        (lambda x: x, {"labels": [0.5] * 4}, "type float64 for 4 images"),
        (lambda x: TensorDataset(x, torch.arange(4)), {"labels": [0] * 4}, "labels are given twice"),
        (lambda x: x, {"names": ["one"]}, "1 names for 4 images"),
    ],
)
def test_what_cannot_be_used_says_why(network, images: torch.Tensor, change, options, message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        clever.score(network, change(images), SETTINGS, **ONE | options)


def test_the_result_is_a_sequence_and_its_slices_are_results(scores: clever.Scores) -> None:
    assert len(scores) == 4 * 3 * 2
    assert isinstance(scores[0], clever.Score)
    assert isinstance(scores[:5], clever.Scores)
    assert list(scores[:5]) == list(itertools.islice(scores, 5))
    assert scores[-1] in scores
    assert scores[:2].run == scores.run


def test_one_line_of_text_a_score(scores: clever.Scores, images: torch.Tensor, network) -> None:
    title, head, *lines, more = repr(scores).splitlines()
    assert title == "24 CLEVER scores of 4 images, distances in [0,1]-pixel units"
    assert head.split()[:5] == ["image", "label", "class", "target", "norm"]
    assert len(lines) == 20
    assert more == "... and 4 more"
    for line, score in zip(lines, scores, strict=False):
        told = [score.image_index, score.label, score.predicted, score.target_class, f"({score.target})", score.norm]
        assert line.split()[:6] == [*map(str, told)]
        assert f"{score.score:.4g}" in line
    assert not any(score.image[:8] in repr(scores) + repr(score) for score in scores)
    capped = next(score for score in scores if score.capped)
    assert repr(capped).startswith(
        f"<Score image {capped.image_index}, label {capped.label}: class {capped.predicted} to"
    )
    assert "capped" in repr(capped)
    named = clever.score(network, images, SETTINGS, names=["<a>", "b", "c", "d"], **ONE)
    assert repr(named).splitlines()[2].split()[:2] == ["<a>", "0"]
    shown = named._repr_html_()
    assert shown.count("<tr>") == 5
    assert "<td>&lt;a&gt;</td><td>0</td>" in shown


def test_frame_and_csv_are_the_same_table(scores: clever.Scores, tmp_path: Path) -> None:
    table = scores.to_frame()
    assert len(table) == len(scores)
    assert {"image_index", "label", "image", "score", "end_point", "end_point_shape"} <= {*table.columns}
    assert scores.to_csv(tmp_path / "scores.csv") is None
    text = (tmp_path / "scores.csv").read_text()
    assert text == scores.to_csv()
    read = pd.read_csv(io.StringIO(text))
    assert list(read.columns) == list(table.columns)
    assert np.allclose(read.score, table.score)
    assert np.array_equal(read.low.isna(), table.low.isna())
    with pytest.raises(clever.InputError, match="cannot be written: No such file or directory"):
        scores.to_csv(tmp_path / "none" / "scores.csv")


@pytest.mark.parametrize("package", ["pandas", "matplotlib"])
def test_a_missing_extra_is_named(scores: clever.Scores, package: str, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    what, extra = {"pandas": (scores.to_frame, "frame"), "matplotlib": (scores.plot, "plot")}[package]
    with pytest.raises(ImportError, match=rf"needs {package}.*pip install {package} .*its extra '{extra}'"):
        what()
    assert scores.to_csv().startswith("image_index,")


def test_plots_show_every_score_and_its_fit(scores: clever.Scores) -> None:
    with mpl.rc_context({"backend": "agg"}):
        figure = scores.plot()
        assert [axes.get_ylabel() for axes in figure.axes] == ["L2 score (pixel units)", "Linf score (pixel units)"]
        shown = [line.get_ydata()[0] for line in figure.axes[0].lines if len(line.get_ydata()) == 1]
        assert set(shown) >= {score.score for score in scores if score.norm == "L2"}
        axes = scores.plot_fit(0)
        ends = [line.get_xdata()[0] for line in axes.lines if len({*line.get_xdata()}) == 1]
        assert ends == [scores[0].end_point.value]
        axes.figure.canvas.draw()
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.get_window_extent().shrunk(0.99, 0.99))
        assert not legend.overlaps(axes.title.get_window_extent())
        mpl.pyplot.close("all")


def test_the_public_names_are_few_and_none_is_a_module_or_an_enumeration() -> None:
    assert len(clever.__all__) <= 45
    values = [getattr(clever, name) for name in clever.__all__]
    assert not [value for value in values if isinstance(value, ModuleType | enum.EnumMeta)]
    assert isinstance(clever.score, FunctionType)
    assert find_spec("clever.score") is None


@pytest.mark.parametrize(
    ("name", "order"),
    [("first_order", clever.FirstOrder()), ("second_order", clever.SecondOrder()), ("gauge", clever.Gauge())],
)
def test_an_order_may_be_given_by_its_name(network, images: torch.Tensor, name: str, order: object) -> None:
    found, expected = (clever.score(network, images[:1], SETTINGS, order=given, **ONE) for given in (name, order))
    assert [score.row() for score in found] == [score.row() for score in expected]
    assert found.run == expected.run
    assert found[0].order == name


def test_one_norm_and_one_target_may_be_given_alone(network, images: torch.Tensor) -> None:
    alone = clever.score(network, images[:1], SETTINGS, targets="top2", norms="l2", progress=False)
    assert alone[0].row() == clever.score(network, images[:1], SETTINGS, **ONE)[0].row()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"order": "third_order"}, "unknown order 'third_order': it must be one of first_order, second_order, gauge"),
        ({"order": clever.Gauge}, "unknown order .*Gauge.*: it must be one of first_order, second_order, gauge"),
        ({"order": None}, "unknown order None"),
        ({"norms": ["L3"]}, "unknown norm 'L3': it must be one of L1, L2, Linf"),
        ({"norms": "L3"}, "unknown norm 'L3'"),
        ({"targets": "top3"}, "unknown target 'top3'"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_valid_ones(network, images, given: dict, message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        clever.score(network, images[:1], SETTINGS, **ONE | given)


@pytest.mark.parametrize("choice", ["law", "reference", "random_target", "estimator", "curvature"])
def test_an_unknown_choice_of_the_settings_is_refused_with_the_valid_ones(choice: str) -> None:
    with pytest.raises(clever.InputError, match=r"unknown [\w ]+ 'other': it must be one of \w+, \w+"):
        clever.paper(**{choice: "other"})


def test_progress_is_shown_unless_told_otherwise(network, images: torch.Tensor, capsys) -> None:
    clever.score(network, images[:1], SETTINGS, targets=["top2"], norms=["L2"])
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["fit_failed", "discrete"])
def test_a_largest_value_in_place_of_a_fit_is_remarked(scores: clever.Scores, flag: str) -> None:
    fitted = next(score for score in scores if score.interval)
    without = dataclasses.replace(fitted, end_point=dataclasses.replace(fitted.end_point, **{flag: True}))
    assert "no fit" not in fitted.remarks
    assert without.remarks.startswith("no fit")


def test_json_follows_the_schema(scores: clever.Scores, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(record.schema())
    check.check_schema(record.schema())
    scores.to_json(tmp_path / "scores.json")
    text = (tmp_path / "scores.json").read_text()
    assert text == scores.to_json()
    found = json.loads(text, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    assert list(check.iter_errors(found)) == []
    assert [one["score"] for one in found["scores"]] == [score.score for score in scores]
    for spoil in (
        lambda d: d.update(version=3),
        lambda d: d["run"].pop("versions"),
        lambda d: d["run"]["network"].update(weights_sha256="abc"),
        lambda d: d["scores"][0].update(score=None),
        lambda d: d["scores"][0].update(low="no"),
        lambda d: d["scores"][0]["end_point"].pop("value"),
    ):
        spoilt = json.loads(text)
        spoil(spoilt)
        assert list(check.iter_errors(spoilt)), spoilt["scores"][0]


def test_the_schema_describes_every_field() -> None:
    definitions = record.schema()["$defs"]
    told = {field.name for field in fields(clever.Score)} - {"maxima"}
    assert told <= {*definitions["score"]["properties"]}
    assert {field.name for field in fields(EndPoint)} <= {*definitions["end_point"]["properties"]}


@pytest.mark.filterwarnings("ignore::clever.GradientMasking")
def test_json_says_what_is_unknown_and_what_is_infinite(network, images: torch.Tensor) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    masked = clever.Defended(network, clever.Quantize(levels=8), bpda=False)
    endless = clever.score(masked, images, clever.paper(n_batches=5, n_samples=8, cap=False), **ONE)
    found = json.loads(endless.to_json())
    assert all(one["score"] == "Infinity" for one in found["scores"])
    assert found["scores"][0]["end_point"]["shape"] is None
    assert found["run"]["defense"] == "Quantize(levels=8)"
    assert found["run"]["bpda"] is False
    jsonschema.Draft202012Validator(record.schema()).validate(found)


def test_the_run_tells_one_network_from_another(scores: clever.Scores, network, images: torch.Tensor) -> None:
    told = scores.run["network"]
    with torch.no_grad():
        network[1].bias[0] += 1e-6
    other = clever.score(network, images[:1], SETTINGS, **ONE).run["network"]
    assert told["parameters"] == other["parameters"] == 109 * 32 + 33 * 7
    assert told["weights_sha256"] != other["weights_sha256"]
