"""Figures of images, as they come out."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import clever
from conftest import ROOT
from pipeline.figures import (
    adversaries,
    bpda,
    convergence,
    curves,
    fits,
    images,
    masking,
    networks,
    published,
    sandwich,
    scores,
    style,
)
from pipeline.figures.data import ExperimentFiles, NetworkData
from pipeline.figures.registry import FIGURES
from pipeline.figures.run import networks_with_figures


def colourless(path: Path) -> bool:
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int(np.ptp(pixels, axis=2).max()) == 0


def test_grey_images_are_drawn_in_grey(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).random((2, 1, 12, 12), dtype=np.float32)
    about = {"id": np.array(["a", "b"]), "class_name": np.array(["one", "two"])}
    images.draw(tmp_path, {"identity": about | {"original": grey, "defended": grey}})
    found = {"original": grey[0], "defended": grey[0], "L2 top2": grey[1]}
    adversaries.draw(tmp_path, {"identity": found}, {"identity": "an image"}, "top2")
    assert colourless(tmp_path / "images.png")
    assert colourless(tmp_path / "adversaries.png")


def scored(*norms: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Three images in these norms, and the maxima of each score."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 20), nn.Tanh(), nn.Linear(20, 5))
    settings = clever.paper(n_batches=20, n_samples=8, radius={"L1": 9.0, "L2": 2.0, "Linf": 0.2})
    found = clever.score(network, torch.rand(3, 3, 4, 4), settings, targets=["top2"], norms=norms, progress=False)
    table = found.to_frame().assign(id=[f"image-{score.image_index}" for score in found], cell="identity")
    return table.assign(distance=2 * table.score), np.stack([score.maxima for score in found])


@pytest.fixture(scope="module")
def drawn_figures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Figure]]:
    """Fits, convergence and the curves of three norms, still open."""
    table, maxima = scored("L1", "L2", "Linf")
    cells = pd.DataFrame([{"cell": "identity", "defense": "{}", "kind": "first order", "swept": "{}"}])
    cells = cells.assign(defense_name="identity")
    folder, kept = tmp_path_factory.mktemp("figures"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt, "close", kept.append)
        fits.draw(folder, table, maxima)
        convergence.draw(folder, table, maxima, "mle")
        curves.draw(folder, table, cells)
    yield kept
    plt.close("all")


def test_no_text_lies_on_what_is_drawn(drawn_figures: list[Figure]) -> None:
    assert len(drawn_figures) == 2 + 3
    for figure in drawn_figures:
        figure.canvas.draw()
        texts = [legend.get_window_extent() for legend in figure.legends]
        for axes in figure.axes:
            assert axes.get_legend() is None
            texts += [
                text.get_window_extent() for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
            ]
        drawn = [axes.get_window_extent().shrunk(0.99, 0.99) for axes in figure.axes]
        assert not [text for text in texts for box in drawn if text.width and text.overlaps(box)]
        assert not [1 for a in texts for b in texts if a is not b and a.width and b.width and a.overlaps(b)]


def of_cells(*norms: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of an undefended cell and of a defense with BPDA and without, whose first score is capped; the cells."""
    plain, cells = scored(*norms)[0].assign(above_distance=False, capped=False), ["identity", "a_long_defense"]
    masked = plain.assign(cell="a_long_defense-no_bpda", score=plain.score * 9, above_distance=True)
    table = pd.concat([plain, plain.assign(cell="a_long_defense", score=plain.score * 1.5), masked], ignore_index=True)
    table.loc[table.index[-1], "capped"] = True
    about = pd.DataFrame({"cell": [*cells, "a_long_defense-no_bpda"], "bpda": [True, True, False]})
    return table, about.assign(without_bpda=about.cell.str.partition("-")[0], defense_name="identity")


def summarised(table: pd.DataFrame) -> pd.DataFrame:
    of = table.groupby(["norm", "cell", "target"], sort=False).agg(
        mean=("score", "mean"), share_capped=("capped", "mean")
    )
    return of.assign(mean_low=of["mean"] * 0.8, mean_high=of["mean"] * 1.2).reset_index()


@pytest.mark.parametrize("norms", [("L2",), ("L1", "L2", "Linf")])
def test_figures_of_defenses_are_whole_and_hollow_where_capped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norms: tuple[str, ...]
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    table, about = of_cells(*norms)
    scores.draw(tmp_path, summarised(table), pd.DataFrame(columns=["norm", "cell", "target", "distance"]))
    bpda.draw(tmp_path, table, about, dict.fromkeys(about.cell, "identity"))
    masking.draw(tmp_path, table, [("a_long_defense", "a_long_defense-no_bpda")])
    monkeypatch.undo()
    for drawn in kept:
        drawn.canvas.draw()
        texts = [*drawn.legends, *drawn.texts]
        texts += [text for axes in drawn.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)]
        boxes = [text.get_window_extent() for text in texts]
        for box in (box for box in boxes if box.width):
            assert 0 <= box.x0 < box.x1 <= drawn.bbox.x1
            assert 0 <= box.y0 < box.y1 <= drawn.bbox.y1
    of_points = kept[1].axes[-1].collections[-1]
    assert [tuple(face[:3]) == (1, 1, 1) for face in of_points.get_facecolor()] == [False, False, True]
    assert of_points.get_edgecolor()[0, :3].max() < 1
    plt.close("all")


def test_the_bar_of_ratios_is_the_geometric_mean_of_the_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    table, about = of_cells("L2")
    bpda.draw(tmp_path, table, about, dict.fromkeys(about.cell, "identity"))
    monkeypatch.undo()
    bars = [line.get_ydata()[0] for line in kept[0].axes[0].lines if line.get_linewidth() == 2]
    assert bars == pytest.approx([1.5, 9.0])
    plt.close("all")


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(0.6, 1.6, {"0.8", "1", "1.2", "1.4"}), (0.02, 3, {"0.1", "0.3", "1"})]
)
def test_a_logarithmic_axis_says_where_it_is(tmp_path: Path, low: float, high: float, shown: set[str]) -> None:
    with style.figure(tmp_path, "axis", width=3, height=3) as drawn:
        axes = drawn.subplots()
        axes.plot([0, 1], [low, high])
        style.logarithmic(axes, np.array([low, high]))
        axes.set_ylim(low, high)
        drawn.canvas.draw()
        labels = {text.get_text() for text in (*axes.get_yticklabels(), *axes.get_yticklabels(minor=True))}
    assert shown <= labels
    assert len(labels - {""}) < 10


@pytest.mark.parametrize(
    ("distances", "places"), [((2, 3, 4), {(-0.03, 2), (0.13, 3), (0.97, 4)}), ((2, 2, 4), {(0.16, 2), (1.16, 4)})]
)
def test_each_distance_stands_beside_the_score_it_is_an_upper_bound_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distances: tuple[int, int, int], places: set[tuple[float, int]]
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    plain, behind, other = distances
    rows = [
        {"network": network, "kind": kind, "norm": "L2", "target": "top2", "score": 1.0, "distance": distance}
        for network, kind, distance in (
            *(("a", "identity", plain), ("a", "jpeg", behind)),
            *(("b", "identity", other), ("b", "jpeg", other)),
        )
    ]
    table = pd.DataFrame(rows)
    for of in ("score", "distance"):
        table[f"{of}_low"], table[f"{of}_high"] = table[of] * 0.9, table[of] * 1.1
    known = {"norm": "L2", "target": "top2", "kind": ["identity", "jpeg"], "tau": [0.5, np.nan]}
    networks.draw(tmp_path, table, pd.DataFrame(known))
    monkeypatch.undo()
    (axes,) = kept[0].axes
    bars = [line for line in axes.lines if line.get_marker() == "_" and line.get_markersize() > 5]
    drawn = [tuple(point) for line in bars for point in line.get_xydata()]
    assert {(round(float(x), 2), float(y)) for x, y in drawn} >= places
    assert len(drawn) == (2 if plain == behind else 4)  # an attack that both kinds share is drawn once
    assert "nan" not in axes.get_title()
    plt.close("all")


def test_a_score_is_judged_only_where_an_adversarial_image_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    rows = pd.DataFrame({"cell": "identity", "norm": "L2", "score": [1.0, 1.0, 1.0], "distance": [0.5, 2.0, np.inf]})
    sandwich.draw(tmp_path, rows.assign(above_distance=rows.score > rows.distance))
    monkeypatch.undo()
    assert kept[0].axes[0].get_title() == "identity, L2: 1 of 2 above"
    plt.close("all")


def test_a_published_table_is_drawn_beside_ours(tmp_path: Path) -> None:
    row = {"network": "mlp", "norm": "L2", "target": "top2", "published": 1.2, "seeds": 2, "mean": 1.0, "low": 0.9}
    row |= {"high": 1.1, "expected_low": 0.7, "expected_high": 1.3}
    one = row | {"quantity": "cw", "seeds": 1, "low": 1.0, "high": 1.0, "expected_low": np.nan, "expected_high": np.nan}
    published.draw(tmp_path, pd.DataFrame([row | {"quantity": "clever"}, one]))
    assert (tmp_path / "published.png").stat().st_size > 9000
    six = [row | {"quantity": "clever", "network": of, "norm": norm} for of in "ab" for norm in ("L1", "L2", "Linf")]
    published.draw(tmp_path / "six", pd.DataFrame(six))
    high, wide, _ = plt.imread(tmp_path / "published.png").shape
    of_six = plt.imread(tmp_path / "six" / "published.png").shape
    assert of_six[0] > 1.8 * high
    assert of_six[1] < 5 * 3.4 / 5.4 * wide
    published.draw(tmp_path / "none", pd.DataFrame())
    assert not (tmp_path / "none").exists()


def test_networks_with_several_defenses_have_figures_of_their_own() -> None:
    rows = [("a_0", "a", "x"), ("a_1", "a", "x"), ("a_1", "a", "y"), ("b", "b", "x"), ("c", "c", "x"), ("c", "c", "y")]
    assert networks_with_figures(pd.DataFrame(rows, columns=["network", "family", "defense"])) == ["a_0", "c"]


@pytest.mark.parametrize("norms", [("L2",), ("L1", "Linf"), ("L1", "L2", "Linf")])
def test_fits_are_whole_whatever_the_number_of_norms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norms: tuple[str, ...]
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    fits.draw(tmp_path, *scored(*norms))
    (drawn,) = kept
    monkeypatch.undo()
    drawn.canvas.draw()
    for text in (*drawn.legends, *(axes.title for axes in drawn.axes)):
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= drawn.bbox.x1
        assert box.y1 <= drawn.bbox.y1
    assert all("bootstrap p: K-S " in axes.get_title() for axes in drawn.axes)
    plt.close(drawn)


def test_lines_of_a_panel_are_told_apart_without_colour(drawn_figures: list[Figure]) -> None:
    for figure in drawn_figures:
        for axes in figure.axes:
            named = [line for line in axes.lines if not line.get_label().startswith("_")]
            assert len(named) > 1
            assert len({(line.get_linestyle(), line.get_marker()) for line in named}) == len(named)


@pytest.mark.parametrize("width", [3.2, 6.4, 9.6])
def test_a_note_below_is_whole_at_any_width(tmp_path: Path, width: float) -> None:
    text = "mean over images, 95 % bootstrap interval; hollow: some scores capped at the radius R; bar: mean distance"
    with style.figure(tmp_path, "note", width=width, height=3.0) as drawn:
        drawn.subplots()
        style.note_below(drawn, text)
        drawn.canvas.draw()
        (note,) = drawn.texts
        assert note.get_text().replace("\n", " ") == text
        assert 0 < note.get_window_extent().x0 < note.get_window_extent().x1 < drawn.bbox.x1


def test_convergence_is_by_the_estimator_of_the_cell_that_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ROOT / "results" / "mnist_published"
    files = ExperimentFiles(results / "tables", (results / "score").joinpath, (results / "attack").joinpath)
    cells = files.table("cells")
    cell = cells[cells.cell == "mnist_mlp_0"].assign(estimator="profile")
    drawn = []
    monkeypatch.setattr(convergence, "draw", lambda folder, rows, maxima, estimator: drawn.append(estimator))
    convergence.FIGURE.draw(NetworkData.read(files, cell), tmp_path)
    assert drawn == ["profile"]


def test_each_figure_is_registered_once_and_has_a_caption_for_each_file() -> None:
    modules = {path.stem for path in Path(style.__file__).parent.glob("*.py") if "FIGURE = Figure(" in path.read_text()}
    names = [name for figure in FIGURES for name in figure.captions]
    assert len(FIGURES) == len(modules)
    assert len(names) == len(set(names))
    assert {name.partition("_L")[0] for name in names} == modules
