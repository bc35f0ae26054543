"""The README agrees with the committed results and with the programs it names."""

from pathlib import Path

from conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_the_table_shown_is_the_committed_one() -> None:
    sections = (ROOT / "results" / "aggregate" / "table.md").read_text().split("### ")
    (shown,) = (section for section in sections if section.startswith("L2"))
    assert shown.strip() in README


def test_every_file_named_is_there() -> None:
    names = ["benchmarks/sampling.py", "benchmarks/curvature.py", "params.yaml", "results/aggregate"]
    names += [f"results/figures/{name}.png" for name in ("scores", "bpda", "fits", "convergence", "images")]
    for name in names:
        assert name in README
        assert (ROOT / Path(name)).exists()


def test_the_words_that_a_score_does_not_earn_are_not_used() -> None:
    assert "certified" not in README.lower()
    assert "estimate" in README
