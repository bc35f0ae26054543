"""How a defense reads in tables, from what its run tells of it."""

import pytest

from pipeline.shared.text.described import describe_defense

IDENTITY = {"class": "Identity"}
PNG = {"class": "PNG", "levels": 256}
NOISE = {"class": "Noise", "std": 0.25, "seed": 1215}
MEAN = {"class": "Expectation", "draws": 4, "first": 0, "transformation": NOISE}
CHAIN = {"class": "Chain", "transforms": [PNG, IDENTITY]}


@pytest.mark.parametrize(
    ("defense", "text"),
    [
        (IDENTITY, "Identity"),
        (PNG, "PNG (levels 256)"),
        (MEAN, "Expectation (draws 4, first 0, transformation Noise (std 0.25))"),
        (CHAIN, "Chain (transforms PNG (levels 256) then Identity)"),
    ],
)
def test_a_defense_is_its_name_and_settings(defense: dict[str, object], text: str) -> None:
    assert describe_defense(defense) == text
