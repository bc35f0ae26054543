"""The verdict on a published number: within the range of our trainings, or how far outside."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clever
from conftest import ROOT
from pipeline.aggregate.published import compare, compare_file, prediction_interval, read


def ours(**means: tuple[float, float]) -> pd.DataFrame:
    """Two images a network, around these means of score and distance."""
    rows = [
        {"network": network, "id": f"i{off}", "score": score + off, "distance": distance + 2 * off}
        for network, (score, distance) in means.items()
        for off in (-0.5, 0.5)
    ]
    table = pd.DataFrame(rows).assign(norm="L2", target="top2")
    return table.assign(cell=table.network, base_network=table.network.str.rpartition("_")[0])


def theirs(clever_: float, cw: float, network: str = "mlp") -> pd.DataFrame:
    return pd.DataFrame(
        [{"network": network, "norm": "L2", "target": "top2", "clever": clever_, "cw": cw, "images": 10}]
    )


def test_within_above_and_below() -> None:
    rows = ours(mlp_0=(1.0, 2.0), mlp_1=(2.0, 4.0), mlp_12=(1.5, 3.0), mlp_deep_0=(9.0, 9.0))
    within, above = compare(rows, theirs(1.9, 5.0)).itertuples()
    assert (within.quantity, within.seeds, within.mean, within.low, within.high) == ("clever", 3, 1.5, 1.0, 2.0)
    assert (within.outside, within.verdict) == (0, "within the range")
    assert (above.quantity, above.mean, above.outside, above.verdict) == ("cw", 3.0, 1.0, "25% above the range")
    below = compare(rows, theirs(0.9, 2.0)).iloc[0]
    assert below.outside == pytest.approx(-0.1)
    assert below.verdict == "10% below the range"


def test_the_ends_belong_to_the_range_and_one_training_is_a_point() -> None:
    rows = ours(mlp_0=(1.0, 2.0), mlp_1=(2.0, 4.0))
    assert (compare(rows, theirs(2.0, 2.0)).outside == 0).all()
    alone = compare(rows[rows.network == "mlp_0"], theirs(1.5, 2.0)).iloc[0]
    assert (alone.seeds, alone.low, alone.high, alone.outside) == (1, 1.0, 1.0, 0.5)
    assert alone.verdict == "50% above the one training"


def test_images_without_an_attack_or_without_an_adversary_have_no_distance() -> None:
    rows = ours(mlp_0=(1.0, 2.0))
    rows.loc[0, "distance"] = np.inf
    assert compare(rows, theirs(1.0, 2.0)).set_index("quantity").loc["cw", "mean"] == 3.0
    rows["distance"] = np.nan
    assert list(compare(rows, theirs(1.0, 2.0)).quantity) == ["clever"]
    assert compare(rows, theirs(1.0, 2.0, "cnn")).empty


def test_the_tables_of_the_project_are_such_tables() -> None:
    for path in (ROOT / "data" / "published").glob("*.csv"):
        table = read(str(path))
        assert (table[["clever", "cw"]] > 0).all(axis=None)
        assert not table.duplicated(["network", "norm", "target"]).any()
        assert {f"{network}_0.yaml" for network in table.network} <= {
            file.name for file in (ROOT / "conf" / "model").iterdir()
        }
    mnist = read(str(ROOT / "data" / "published" / "w18_mnist.csv")).set_index(["network", "target"])
    assert len(mnist) == 9
    assert tuple(mnist.loc[("mnist_cnn", "top2"), ["clever", "cw"]]) == (0.861, 1.504)


def test_a_cell_stands_beside_what_is_published_of_it(tmp_path: Path) -> None:
    rows = ours(mlp_0=(1.0, 2.0), jpeg_3=(2.0, 4.0), png=(3.0, 6.0))
    (tmp_path / "a.csv").write_text("network,norm,target,clever\njpeg_3,L2,top2,4\nmlp,L2,top2,1\n")
    cell, network = compare_file(str(tmp_path / "a.csv"), rows, {"mlp_0": "mlp"}).itertuples()
    assert (cell.network, cell.quantity, cell.published, cell.mean, cell.outside) == ("jpeg_3", "clever", 4, 2, 2)
    assert (network.network, network.mean, network.verdict) == ("mlp", 1, "within the range")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no such file"),
        ("network,norm\na,b\n", "lacks target, clever: its columns must be network"),
        ("network,norm,target,clever,cw,images\na,L2,top2,x,1,9\n", "is not a valid table: could not convert"),
        ("", "is not a valid table: No columns"),
        ("network,norm,target,clever\na,L2,top2,-1\n", "clever is -1, but must be positive"),
        ("network,norm,target,clever,images\na,L2,top2,1,0\n", "images is 0, but must be positive"),
        ("cell,norm,target,clever\na,L2,top2,1\n", "lacks network: its columns must be network"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "a.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(clever.InputError, match=message):
        read(str(path))


@pytest.mark.parametrize(("trainings", "images", "others"), [(5, 100, 500), (3, 30, 30), (2, 100, 10)])
def test_another_training_on_other_images_lies_in_the_interval_in_95_of_100_cases(
    trainings: int, images: int, others: int
) -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        of_training, difficulty = rng.normal(0, 0.05, trainings + 1), rng.exponential(0.4, images + others)
        average = 1 + of_training[-1] + difficulty[images:].mean()
        low, high = prediction_interval(1 + of_training[:-1] + difficulty[:images, None], others)
        inside += low <= average <= high
    assert 0.92 < inside / 2000 < 0.985  # of two trainings it is wider than it must be


def test_one_training_or_one_image_has_no_spread_to_expect_from() -> None:
    assert np.isnan(prediction_interval(np.ones((9, 1)), 9)).all()
    assert np.isnan(prediction_interval(np.ones((1, 9)), 9)).all()
    assert prediction_interval(np.ones((9, 9)), 9) == (1, 1)
