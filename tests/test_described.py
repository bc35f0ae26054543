"""How a defense reads in tables, from what its run tells of it."""

import pytest

from pipeline.shared.described import described

IDENTITY = {"_target_": "clever.transforms.Identity"}
PNG = {"_target_": "clever.transforms.PNG", "levels": 256}
NOISE = {"_target_": "clever.noise.Noise", "std": 0.25, "seed": 1215}
MEAN = {"_target_": "clever.ensemble.Expectation", "draws": 4, "first": 0, "transformation": NOISE}
CHAIN = {"_target_": "clever.transforms.Chain", "transforms": [PNG, IDENTITY]}


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
    assert described(defense) == text
