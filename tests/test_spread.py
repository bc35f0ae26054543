"""Trainings of one network beside images: which networks those are, the table, and the claim on several of them."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from conftest import composed
from pipeline.aggregate.claims.judge import claims
from pipeline.aggregate.spread import TABLE, spread
from pipeline.shared.models.classifier import build_network
from pipeline.shared.stats.pairing import add_log_ratios, network_families
from pipeline.shared.stats.verdicts import Verdict


def model(name: str) -> dict[str, object]:
    return OmegaConf.to_container(composed(f"model={name}").model, resolve=True)


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (["small_densenet", "small_densenet_1", "small_densenet_4"], ["small_densenet"] * 3),
        (["small_densenet", "small_densenet_noise"], ["small_densenet", "small_densenet_noise"]),
        (["mnist_mlp_0", "mnist_mlp_3", "mnist_cnn_0", "mnist_cnn_1"], ["mnist_mlp"] * 2 + ["mnist_cnn"] * 2),
        (["mnist_cnn_0", "mnist_distilled_0"], ["mnist_cnn_0", "mnist_distilled_0"]),
    ],
)
def test_trainings_of_one_network_differ_in_their_seed_alone(networks: list[str], expected: list[str]) -> None:
    assert network_families({name: model(name) for name in networks}) == dict(zip(networks, expected, strict=True))


def test_networks_that_differ_in_more_are_no_family_whatever_their_names() -> None:
    other = model("small_densenet_1") | {"network": {"depth": 9}}
    found = network_families({"small_densenet": model("small_densenet"), "small_densenet_1": other})
    assert found == {"small_densenet": "small_densenet", "small_densenet_1": "small_densenet_1"}


def test_each_training_has_initial_weights_of_its_own() -> None:
    first, second, same = (
        next(build_network(composed("weights=trained", f"model={name}"))[0].parameters())
        for name in ("small_densenet", "small_densenet_1", "small_densenet")
    )
    assert first.equal(same)
    assert not first.equal(second)


def trainings(
    networks: int = 5,
    images: int = 40,
    *,
    ratio: float = 1.0,
    between: float = 0.0,
    of_image: float = 0.3,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of trainings ``net_0``, ... without a defense and behind one, whose log ratios are normal.

    ``between``: standard deviation of the log score behind the defense between networks, ``of_image``: of all log
    scores between images.
    """
    rng = np.random.default_rng(seed)
    base = of_image * rng.normal(size=images)
    rows, cells = [], []
    for name in [f"net_{number}" for number in range(networks)]:
        shift = np.log(ratio) + between * rng.normal()
        for kind, offset in (("plain", 0.0), ("jpeg", shift)):
            cell = f"{name}-{kind}"
            told = {"transformation": "Identity" if kind == "plain" else kind, "variant": kind}
            cells.append({"cell": cell, "baseline": f"{name}-plain", "network": name, "family": "net"} | told)
            rows += [
                {"cell": cell, "network": name, "id": f"i{image}", "predicted": 0, "target": "top2", "target_class": 1}
                | {"norm": "L2", "score": np.exp(base[image] + offset), "capped": False}
                for image in range(images)
            ]
    return pd.DataFrame(rows), pd.DataFrame(cells).assign(order="first_order", sampling="{}", bpda=True)


def test_spread_between_trainings_and_between_images_by_hand() -> None:
    scores, cells = trainings(2, 3)
    values = {"net_0": np.array([1.0, 2.0, 4.0]), "net_1": np.array([2.0, 4.0, 16.0])}
    for network, of_network in values.items():
        scores.loc[scores.cell == f"{network}-jpeg", "score"] = of_network
        scores.loc[scores.cell == f"{network}-plain", "score"] = [1.0, 1.0, 2.0]
    table = spread(scores, cells, 0).set_index("kind")
    assert list(table.index) == ["plain", "jpeg"]
    row, log = table.loc["jpeg"], np.log(2)
    assert (row.family, row.networks, row.images, row.pairs) == ("net", 2, 3, 6)
    assert row.score == pytest.approx(2 ** (10 / 6))
    assert row.between_networks == pytest.approx(log * np.sqrt((0.5 + 0.5 + 2) / 3))
    assert row.between_images == pytest.approx(log * np.sqrt((1 + 7 / 3) / 2))
    assert row.ratio == pytest.approx(2 ** (8 / 6))
    assert np.isnan(row.images_low)  # of three images
    assert np.isnan(table.loc["plain"].ratio)
    shown = TABLE.printed.text(table.reset_index())
    assert list(shown["both"]) == ["", ""]
    assert list(shown["ratio"]) == ["", "2.52"]


def test_the_table_finds_the_spreads_that_were_simulated() -> None:
    table = spread(*trainings(networks=20, images=200, between=0.2, of_image=0.5), 0).set_index("kind")
    assert table.between_networks["plain"] == pytest.approx(0, abs=1e-12)
    assert table.between_networks["jpeg"] == pytest.approx(0.2, rel=0.3)
    assert table.between_images["jpeg"] == pytest.approx(0.5, rel=0.1)
    jpeg = table.loc["jpeg"]  # the ratio of a network is the same for all its images
    width = {name: np.log(jpeg[f"{name}_high"] / jpeg[f"{name}_low"]) for name in ("images", "networks", "both")}
    assert width["images"] == pytest.approx(0, abs=1e-9)
    assert width["both"] == pytest.approx(width["networks"], rel=0.1)
    assert width["networks"] == pytest.approx(2 * 1.73 * 0.2 / np.sqrt(20), rel=0.4)


def test_trainings_without_a_defense_have_spreads_alone() -> None:
    """As the networks of MNIST: a cell each, which is named by its network."""
    scores, cells = trainings(3, 8)
    rows = scores[scores.cell.str.endswith("plain")].assign(cell=lambda table: table.network)
    alone = cells[cells.cell.str.endswith("plain")].assign(cell=lambda of: of.network, baseline=lambda of: of.network)
    alone["variant"] = "first_order"
    (row,) = spread(rows, alone, 0).itertuples()
    assert (row.family, row.kind, row.networks, row.images, row.pairs) == ("net", "first_order", 3, 8, 0)
    assert np.isnan(row.ratio)
    assert row.between_images > row.between_networks == pytest.approx(0, abs=1e-12)


def test_networks_that_are_all_different_have_no_such_table() -> None:
    scores, cells = trainings()
    assert spread(scores, cells.assign(family=cells.network), 0).empty


def test_an_image_that_one_training_errs_on_counts_for_the_others() -> None:
    scores, cells = trainings(images=8)
    scores = scores[(scores.cell != "net_1-jpeg") | (scores.id != "i3")]
    row = spread(scores, cells, 0).set_index("kind").loc["jpeg"]
    assert (row.images, row.pairs) == (7, 39)


def test_a_ratio_is_of_the_same_image_class_and_target() -> None:
    scores, _ = trainings(1, 3, ratio=2.0)
    scores.loc[(scores.cell == "net_0-jpeg") & (scores.id == "i1"), "target_class"] = 2
    found = add_log_ratios(scores, {"net_0-jpeg": "net_0-plain"})
    assert list(found[found.cell == "net_0-jpeg"].log_ratio) == pytest.approx(
        [np.log(2), np.nan, np.log(2)], nan_ok=True
    )
    assert found[found.cell == "net_0-plain"].log_ratio.isna().all()


def about_the_same(scores: pd.DataFrame, cells: pd.DataFrame) -> tuple[Verdict, list[str]]:
    attacked = scores.assign(distance=np.nan, above_distance=False)
    found = claims(attacked, cells, None, 0)[0]
    return found.verdict, found.evidence


def test_a_claim_on_a_defense_carries_the_spread_of_networks() -> None:
    scores, cells = trainings(ratio=1.1, between=0.5)
    verdict, (evidence,) = about_the_same(scores, cells)
    assert verdict is Verdict.UNDECIDED
    assert evidence.startswith("net, jpeg, L2: ")
    assert "over 5 networks and 40 images, undecided: about" in evidence
    first = cells.network == "net_0"
    alone, (evidence,) = about_the_same(scores[scores.network == "net_0"], cells[first])
    assert alone in (Verdict.HOLDS, Verdict.FAILS)  # images alone say it surely, of this one network
    assert evidence.endswith("over 40 images")
    assert about_the_same(*trainings(ratio=1.02, between=0.05))[0] is Verdict.HOLDS
    assert about_the_same(*trainings(ratio=2.0, between=0.1))[0] is Verdict.FAILS


def test_networks_of_other_families_are_judged_apart() -> None:
    scores, cells = trainings(ratio=1.02, between=0.05)
    others, other_cells = (table.replace("net", "odd", regex=True) for table in trainings(ratio=9.0))
    verdict, evidence = about_the_same(pd.concat([scores, others]), pd.concat([cells, other_cells], ignore_index=True))
    assert verdict is Verdict.FAILS
    assert evidence == [*about_the_same(scores, cells)[1], *about_the_same(others, other_cells)[1]]
