"""The README agrees with the committed results and with the programs it names."""

from pathlib import Path

import pytest

from conftest import ROOT
from pipeline.shared.printed import ATTACKED, NOTE

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "title", ["small densenet, L2 norm", "First and second order", f"{ATTACKED}: small densenet, L2 norm"]
)
def test_the_tables_shown_are_the_committed_ones(title: str) -> None:
    sections = (ROOT / "results" / "aggregate" / "table.md").read_text().split(f"\n{NOTE}")[0].split("### ")
    (shown,) = (section for section in sections if section.startswith(title))
    assert shown.split("\n", 2)[2].strip() in README


def test_every_file_named_is_there() -> None:
    names = [f"benchmarks/{name}.py" for name in ("sampling", "curvature", "grid_truth")]
    names += ["params.yaml", "results/aggregate", "results/report.html", "benchmarks/results/grid_truth.csv"]
    names += [
        f"results/figures/{name}.png"
        for name in ("scores", "bpda", "fits", "convergence", "images", "orders", "sandwich", "masking")
    ]
    for name in names:
        assert name in README
        assert (ROOT / Path(name)).exists()


def test_the_words_that_a_score_does_not_earn_are_not_used() -> None:
    assert "certified" not in README.lower()
    assert "estimate" in README
