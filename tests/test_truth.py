"""Estimates beside the exact distance: the rows, the table, the figure."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pipeline.aggregate.calibration import calibrate
from pipeline.aggregate.truth import ANSWERS, TABLE, count_exact, join_exact
from pipeline.figures import exact as figure
from pipeline.figures.data import distinguishable

ORDERS = ("first_order", "second_order")
CELLS = pd.DataFrame(
    [
        {"cell": f"{preset}-{order}-estimator_mle_reg", "network": "net", "order": order, "kind": order}
        | {"swept": json.dumps({"preset": preset, "order": order, "sampling.estimator": "mle_reg"})}
        for preset in ("library", "reference_code")
        for order in ORDERS
    ]
).assign(defense="{}", bpda=True)
IMAGES = 8


def about_images() -> pd.DataFrame:
    """Every cell's exact distances 1, 2, ..., but for the last image, where both ends differ."""
    rows = [
        {"cell": cell, "network": "net", "id": f"i{image}", "predicted": 0, "norm": "L2", "target": "top2"}
        | {"certificate": 0.7 * image, "distance": 1.001 * image, "exact": image if image < IMAGES else np.nan}
        for cell in CELLS.cell
        for image in range(1, IMAGES + 1)
    ]
    return pd.DataFrame(rows)


def scores() -> pd.DataFrame:
    """.9 of the distance in the first cell, .1 more in each next one; a gradient of slope 1.2 g / distance."""
    exact = about_images()
    share = 0.9 + 0.1 * exact.cell.map({cell: place for place, cell in enumerate(CELLS.cell)})
    image = exact.id.str[1:].astype(float)
    known = exact.drop(columns=["certificate", "distance", "exact"])
    about = {"n_batches": 4, "n_samples": 5, "gradients": 20, "capped": False, "gradient_norm": 2.0}
    return known.assign(score=share * image, margin=2.4 * image, **about)


def test_every_method_stands_beside_the_exact_distance_where_there_is_one() -> None:
    rows = join_exact(scores(), about_images(), CELLS)
    assert set(rows.id) == {f"i{image}" for image in range(1, IMAGES)}
    found = calibrate(rows, CELLS, 0).set_index(["method", "cell"])
    first = CELLS.cell[0]
    expected = {"certificate": 0.7, "one gradient": 1.2, "attack": 1.001}
    for method, ratio in expected.items():
        assert found.loc[(method, first), "ratio"] == pytest.approx(ratio)
    assert [found.loc[("CLEVER", cell), "ratio"] for cell in CELLS.cell] == pytest.approx([0.9, 1.0, 1.1, 1.2])
    assert len(found) == len(CELLS) + len(expected)
    assert found.loc[("CLEVER", CELLS.cell[2]), ["count_above", "share_above"]].tolist() == [IMAGES - 1, 1]


def test_the_share_with_an_answer_is_told() -> None:
    (row,) = count_exact(about_images(), CELLS).itertuples()
    assert (row.images, row.exact, row.median, row.least, row.most) == (IMAGES, IMAGES - 1, 4, 1, IMAGES - 1)
    assert ANSWERS.printed.text(count_exact(about_images(), CELLS)).exact.tolist() == ["7: 88%"]


def test_the_table_names_what_is_no_score() -> None:
    shown = TABLE.printed.text(calibrate(join_exact(scores(), about_images(), CELLS), CELLS, 0))
    assert shown.estimate.tolist()[-3:] == ["one gradient", "certificate", "attack"]
    assert shown.estimate[2] == "reference code, first order, estimator mle reg"
    assert shown["above distance"][2] == "7 of 7 [59%, 100%]"


def test_no_line_of_the_figure_is_missing_and_no_text_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[plt.Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    figure.draw(tmp_path, join_exact(scores(), about_images(), CELLS), CELLS)
    (drawn,) = kept
    monkeypatch.undo()
    drawn.canvas.draw()
    left, right = drawn.axes
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == ["attack", "certificate", "one gradient", "library, mle reg", "reference code, mle reg"]
    for axes, above in ((left, ["", "0", "7", "0", "7"]), (right, ["", "0", "7", "0", "7"])):
        assert len(axes.collections) == len(labels)
        assert [text.get_text() for text in sorted(axes.texts, key=lambda text: text.xy[1])] == above
    texts = [*left.get_yticklabels(), *left.texts, *right.texts, left.title, right.title, drawn._supxlabel]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert not [1 for place, a in enumerate(boxes) for b in boxes[:place] if a.overlaps(b)]
    plt.close(drawn)


def test_figures_that_tell_cells_by_colour_show_no_more_of_them_than_there_are_colours() -> None:
    many = pd.concat([CELLS.assign(cell=CELLS.cell + str(budget)) for budget in range(3)], ignore_index=True)
    assert distinguishable(CELLS) is CELLS
    assert distinguishable(many).cell.tolist() == [f"library-{order}-estimator_mle_reg0" for order in ORDERS]
