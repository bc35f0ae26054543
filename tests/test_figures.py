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
from pipeline.figures import adversaries, convergence, curves, fits, images, style


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
    cells = pd.DataFrame([{"cell": "identity", "defense": "identity", "order": "first order"}])
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
