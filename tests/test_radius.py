"""Scores over the radius: the running maximum of smaller balls, and the self-consistent radius."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clever
from clever.scoring.radius import over_radius, self_consistent
from pipeline.aggregate.radius import curves, radii
from pipeline.figures import radius as figure

RADII = np.array([0.5, 1.0, 2.0, 4.0])


def test_what_a_smaller_ball_holds_counts_in_the_larger_ones() -> None:
    scores = over_radius(2.0, RADII, np.array([1.0, 4.0, 2.0, 8.0]))
    assert scores.tolist() == [0.5, 0.5, 0.5, 0.25]  # R; 2 / 4; 2 / 4, not 2 / 2; 2 / 8
    assert self_consistent(scores) == 0.5


def test_a_margin_of_constant_slope_has_its_distance_at_every_larger_radius() -> None:
    scores = over_radius(3.0, RADII, np.full(4, 3.0))
    assert scores.tolist() == [0.5, 1, 1, 1]
    assert over_radius(3.0, RADII, np.zeros(4)).tolist() == RADII.tolist()


@pytest.mark.parametrize("bad", [[1.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], [1.0]])
def test_radii_must_increase(bad: list[float]) -> None:
    with pytest.raises(clever.InputError, match="must increase"):
        over_radius(1.0, np.array(bad), np.ones(4))


CELLS = pd.DataFrame(
    {
        "cell": ["L2_1", "L2_2", "second"],
        "defense": "{}",
        "transformation": "Identity",
        "kind": ["first_order", "first_order", "second_order"],
        "order": ["first_order", "first_order", "second_order"],
        "bpda": True,
    }
)
SAMPLING = {"L2_1": {"radius": {"L2": 1.0}}, "L2_2": {"radius": {"L2": 2.0}}, "second": {"radius": {"L2": 2.0}}}


def rows() -> pd.DataFrame:
    """Image a: refuted at both radii; image b: at none."""
    table = pd.DataFrame(
        {
            "cell": ["L2_2", "L2_2", "L2_1", "L2_1", "second"],
            "id": ["a", "b", "a", "b", "a"],
            "margin": [2.0, 3.0, 2.0, 3.0, 2.0],
            "constant": [1.0, 6.0, 2.0, 4.0, 7.0],
            "distance": [0.8, 0.9, 0.8, 0.9, 0.8],
        }
    )
    return table.assign(network="net", norm="L2", predicted=0, label=5, target="top2", target_class=1)


def test_cells_of_several_radii_make_a_curve_and_a_table() -> None:
    over = curves(rows(), CELLS, SAMPLING)
    assert over.groupby("id").score.apply(list).to_dict() == {"a": [1.0, 1.0], "b": [0.75, 0.5]}
    table = radii(over)
    assert table.radius.fillna(-1).tolist() == [1.0, 2.0, -1]
    assert table.count_above.tolist() == [1, 1, 1]
    assert table.median_ratio.iloc[1] == pytest.approx(np.sqrt(1 / 0.8 * 0.5 / 0.9))
    assert table.median_ratio.iloc[2] == pytest.approx(np.sqrt(1 / 0.8 * 0.75 / 0.9))


def test_a_single_radius_makes_none() -> None:
    one = {cell: {"radius": {"L2": 1.0}} for cell in SAMPLING}
    assert curves(rows(), CELLS, one).empty
    assert radii(curves(rows(), CELLS, one)).empty


def test_a_curve_is_of_one_budget() -> None:
    two = {cell: about | {"n_batches": 8 if cell == "L2_1" else 9} for cell, about in SAMPLING.items()}
    assert curves(rows(), CELLS, two).empty
    more = pd.concat([CELLS, CELLS.assign(cell=CELLS.cell + "_more")])
    table = pd.concat([rows(), rows().assign(cell=rows().cell + "_more", constant=0.1)])
    larger = {f"{cell}_more": about | {"n_batches": 9} for cell, about in SAMPLING.items()}
    of_first = curves(table, more, SAMPLING | larger)
    assert of_first.score.tolist() == curves(rows(), CELLS, SAMPLING).score.tolist()


def test_the_figure_is_drawn_where_there_is_a_curve(tmp_path: Path) -> None:
    over = curves(rows(), CELLS, SAMPLING)
    figure.draw(tmp_path, over.head(0))
    assert not list(tmp_path.iterdir())
    figure.draw(tmp_path, over)
    assert (tmp_path / "radius.png").stat().st_size > 10_000
