"""Another program's scores stand beside ours on the same images, network and exact distances."""

import re
from hashlib import sha256
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import clever
from conftest import ROOT
from pipeline.aggregate.calibration import calibrate
from pipeline.aggregate.peers import join_peers, read
from pipeline.aggregate.truth import join_exact
from pipeline.figures import exact as figure
from pipeline.shared.text.methods import TOOLBOX
from test_truth import CELLS, IMAGES, about_images, scores

FIRST = CELLS.cell[0]
WEIGHTS = {"net": "ab" * 32}


def ours() -> pd.DataFrame:
    return join_exact(scores(), about_images(), CELLS)


def theirs(share: float = 0.95, **changed: object) -> pd.DataFrame:
    """Of all images, those without an exact distance included."""
    rows = [
        {"weights": WEIGHTS["net"], "norm": "L2", "target": "top2", "id": f"i{image}", "method": TOOLBOX}
        | {"value": share * image, "gradients": 640.0}
        for image in range(1, IMAGES + 1)
    ]
    return pd.DataFrame(rows).assign(**changed)


def test_each_value_stands_over_the_distance_of_its_image_and_where_there_is_none_it_is_left_out() -> None:
    rows = join_peers(theirs(), ours(), WEIGHTS)
    assert list(rows) == list(ours())
    assert rows.id.tolist() == [f"i{image}" for image in range(1, IMAGES)]
    assert set(rows.cell) == {FIRST}
    found = calibrate(pd.concat([ours(), rows]), CELLS, 0).set_index(["method", "cell"]).loc[(TOOLBOX, FIRST)]
    assert found.ratio == pytest.approx(0.95)
    assert (found.images, found.count_above, found.gradients) == (IMAGES - 1, 0, 640)


def test_scores_of_another_network_or_of_other_images_are_not_taken_for_ours() -> None:
    with pytest.raises(clever.InputError, match=r"with weights abababababab, only for weights cdcdcdcdcdcd"):
        join_peers(theirs(weights="cd" * 32), ours(), WEIGHTS)
    assert join_peers(theirs(norm="Linf"), ours(), WEIGHTS).empty


def test_a_file_that_is_no_such_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(clever.InputError, match=r"peers=none\.csv: there is no such file"):
        read("none.csv")
    path = tmp_path / "some.csv"
    theirs().drop(columns="value").to_csv(path, index=False)
    with pytest.raises(clever.InputError, match=r"lacks value: its columns must be weights, norm"):
        read(str(path))
    theirs(value="much").to_csv(path, index=False)
    with pytest.raises(clever.InputError, match="is not a valid table"):
        read(str(path))


def test_the_figure_has_their_line_and_counts_what_it_cannot_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[plt.Figure] = []
    monkeypatch.setattr(plt, "close", kept.append)
    values = theirs()
    values.loc[0, "value"] = -0.5
    rows = pd.concat([ours(), join_peers(values, ours(), WEIGHTS)], ignore_index=True)
    figure.draw(tmp_path, rows, CELLS)
    (drawn,) = kept
    monkeypatch.undo()
    assert TOOLBOX in [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert "not shown: 1 values that are not positive" in re.sub(r"\s+", " ", drawn._supxlabel.get_text())
    plt.close(drawn)


def test_the_table_of_the_project_is_of_the_published_weights_and_of_the_images_of_the_results() -> None:
    table = read(str(ROOT / "data" / "peers" / "clever_t_digits.csv"))
    weights = sha256((ROOT / "data" / "weights" / "mlp_curvature.pt").read_bytes()).hexdigest()
    assert set(table.weights) == {weights}
    shown = pd.read_csv(ROOT / "results" / "exact" / "tables" / "exact.csv", dtype={"id": str})
    assert set(table.id) == set(shown[shown.method == TOOLBOX].id) == set(shown.id)
