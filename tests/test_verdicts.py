"""Verdicts on simulated images and networks whose truth is known, and the numbers that would decide."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from pipeline.shared.stats.verdicts import EQUIVALENCE_RANGE, Majority, Mean, Verdict


def equivalence(mean: float, images: int, seed: int, *, spread: float = 0.3, networks: int = 1) -> Mean:
    """Of three targets, the spread the same between images and, if there are several, between networks."""
    rng = np.random.default_rng(seed)
    of_network = spread * rng.normal(size=networks) if networks > 1 else np.zeros(1)
    network, image, _ = (place.ravel() for place in np.indices((networks, images, 3)))
    ratios = math.log(mean) + (spread * rng.normal(size=images))[image] + of_network[network]
    ratios += 0.05 * rng.normal(size=len(ratios))
    return Mean.equivalent(*(pd.Series(of) for of in (ratios, image.astype(str), network.astype(str))), seed)


def test_about_the_same_is_an_equivalence() -> None:
    assert equivalence(1.0, 100, 0).verdict is Verdict.HOLDS
    assert equivalence(1.6, 100, 0).verdict is Verdict.FAILS
    few = equivalence(1.0, 6, 3)
    assert few.verdict is Verdict.UNDECIDED
    assert re.fullmatch(r", undecided: about \d+ images would decide", few.undecided_note)
    assert equivalence(1.0, 100, 0).undecided_note == ""
    nothing = Mean.equivalent(pd.Series([np.nan]), pd.Series(["a"]), pd.Series(["n"]), 0)
    assert (nothing.verdict, nothing.units) == (Verdict.UNTESTED, {"images": 0})


def test_what_holds_of_one_network_may_be_open_for_five() -> None:
    assert equivalence(1.0, 100, 1, spread=0.3).verdict is Verdict.HOLDS
    five = equivalence(1.0, 100, 1, spread=0.3, networks=5)
    assert (five.verdict, five.units_text) == (Verdict.UNDECIDED, "5 networks and 100 images")
    assert five.needed["networks"] > 5
    assert (
        f"about {five.needed['networks']} networks and {five.needed['images']} images would decide"
        in five.undecided_note
    )
    few = equivalence(1.0, 100, 0, networks=3)
    assert few.undecided_note == ", undecided: at least 5 networks and 100 images would decide"


def test_a_ratio_at_the_bound_passes_as_rarely_as_the_level_says() -> None:
    verdicts = [equivalence(EQUIVALENCE_RANGE[1], 40, seed, spread=0.1).verdict for seed in range(300)]
    assert verdicts.count(Verdict.HOLDS) / 300 < 0.08
    assert verdicts.count(Verdict.FAILS) / 300 < 0.08


def test_the_number_that_would_decide_does() -> None:
    few = [found for seed in range(40) if (found := equivalence(1.0, 6, seed)).verdict is Verdict.UNDECIDED]
    needed = [(found.value, 1.5 * found.needed["images"]) for found in few if found.needed["images"] < 500]
    decided = [equivalence(value, math.ceil(images), 1).verdict for value, images in needed]
    assert len(decided) > 10
    assert np.mean([verdict is not Verdict.UNDECIDED for verdict in decided]) > 0.8


def test_a_number_that_is_beyond_reach_is_not_told() -> None:
    flat = Mean.equivalent(
        *(pd.Series(of) for of in ([math.log(EQUIVALENCE_RANGE[1])] * 6, list("abcdef"), ["n"] * 6)), 0
    )
    assert flat.verdict is Verdict.HOLDS  # nothing varies
    near = pd.Series(math.log(EQUIVALENCE_RANGE[1]) + np.array([-1, 1, -1, 1, -1, 1.0]))
    found = Mean.equivalent(near, pd.Series(list("abcdef")), pd.Series(["n"] * 6), 0)
    assert found.undecided_note == ", undecided: more images than are available would decide"
    assert Majority(3, 6).undecided_note == found.undecided_note


def test_a_mean_is_above_nought_by_its_interval() -> None:
    rng, images = np.random.default_rng(0), pd.Series([f"i{n}" for n in range(400)])
    for mean, verdict in ((0.3, Verdict.HOLDS), (-0.3, Verdict.FAILS)):
        assert Mean.positive(pd.Series(mean + rng.normal(size=400)), images, 0).verdict is verdict
    verdicts = [Mean.positive(pd.Series(rng.normal(size=30)), images[:30], seed).verdict for seed in range(300)]
    assert 0.92 < verdicts.count(Verdict.UNDECIDED) / 300 < 0.98
    few = Mean.positive(pd.Series(0.3 + rng.normal(size=20)), images[:20], 0)
    assert few.verdict is Verdict.UNDECIDED
    many = math.ceil(1.2 * few.needed["images"])
    same = few.value + rng.normal(size=many)
    same += few.value - same.mean()
    assert Mean.positive(pd.Series(same), pd.Series(range(many)).astype(str), 0).verdict is Verdict.HOLDS
    assert (
        Mean.positive(pd.Series([1.0, 2.0]), images[:2], 0).undecided_note
        == ", undecided: at least 6 images would decide"
    )


def test_a_majority_is_one_by_its_exact_interval() -> None:
    assert (Majority(6, 6).majority, Majority(6, 6).minority) == (Verdict.HOLDS, Verdict.FAILS)
    assert (Majority(0, 6).majority, Majority(0, 6).minority) == (Verdict.FAILS, Verdict.HOLDS)
    open_ = Majority(5, 5)
    assert (open_.majority, open_.minority) == (Verdict.UNDECIDED, Verdict.UNDECIDED)
    assert str(open_) == "5 of 5 [48%, 100%], undecided: about 6 images would decide"
    assert str(Majority(40, 50)) == "40 of 50 [66%, 90%]"


def test_of_no_image_nothing_is_said() -> None:
    nothing = Majority(0, 0)
    assert (nothing.majority, nothing.minority) == (Verdict.UNTESTED, Verdict.UNTESTED)
    assert (str(nothing), nothing.undecided_note) == ("no image", "")
    assert nothing.needed == 6
    assert Majority(6, 6).majority is Verdict.HOLDS
    assert Majority(5, 5).majority is Verdict.UNDECIDED


def test_an_interval_that_is_not_there_is_told_in_words() -> None:
    few = Mean.positive(pd.Series([1.0, 2.0]), pd.Series(["a", "b"]), 0)
    assert few.interval_text(".2f") == "(too few images for an interval)"
    networks = equivalence(1.0, 20, 0, networks=3)
    assert networks.interval_text(".2f") == "(too few networks or images for an interval)"
    some = equivalence(1.0, 100, 0)
    assert some.interval_text(".2f") == f"[{some.low:.2f}, {some.high:.2f}]"


@pytest.mark.parametrize(("count", "total"), [(6, 10), (11, 20), (4, 10), (1, 4)])
def test_as_many_images_as_a_majority_needs_decide_and_fewer_do_not(count: int, total: int) -> None:
    needed = Majority(count, total).needed
    share = count / total
    assert Majority(round(share * 1.2 * needed), round(1.2 * needed)).majority is not Verdict.UNDECIDED
    assert Majority(round(share * 0.8 * needed), round(0.8 * needed)).majority is Verdict.UNDECIDED


def test_a_statement_of_all_is_as_good_as_its_worst_part() -> None:
    holds, fails, undecided = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED
    assert Verdict.of_all([]) is Verdict.UNTESTED
    assert Verdict.of_all([holds, holds]) is holds
    assert Verdict.of_all([holds, undecided]) is undecided
    assert Verdict.of_all([undecided, fails, holds]) is fails
