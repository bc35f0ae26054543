"""What the papers claim, and what the numbers of this run say of it."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from pipeline.shared.pairing import PAIR
from pipeline.shared.printed import named, of_target
from pipeline.shared.statistics import interval, log_ratio, share_interval


class Verdict(StrEnum):
    """What the evidence says."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNTESTED = "not tested"


NEAR = (0.8, 1.25)
"""The ratios that count as about 1."""


@dataclass(frozen=True)
class Claim:
    """A claim, its source, the criterion it was judged by, the evidence, the verdict, and the files that show it."""

    text: str
    source: str
    criterion: str
    verdict: Verdict
    evidence: list[str]
    shown_in: str


def claims(scores: pd.DataFrame, cells: pd.DataFrame, seed: int) -> list[Claim]:
    """All of them, judged. ``scores``: the rows of tables/scores.csv; ``cells``: what is known of each cell."""
    attacked = scores[scores.distance.notna()]
    main = cells[(cells.network == cells.network[0]) & (cells.order == "first_order")]
    tried = cells[cells.cell.isin(attacked.cell)]
    return [
        _about_the_same(scores, main, seed),
        _degenerate(scores, main[~main.bpda]),
        _overestimates(attacked, main[~main.bpda & main.cell.isin(tried.cell)]),
        _below(attacked, tried[tried.bpda & (tried.order == "first_order")], "First-order CLEVER"),
        _below(attacked, tried[tried.order == "second_order"], "Second-order CLEVER"),
        _ordered(scores, main.head(1)),
        _published(cells),
    ]


def _about_the_same(scores: pd.DataFrame, main: pd.DataFrame, seed: int) -> Claim:
    baseline, others = main.cell.iloc[0], main[main.bpda].cell.iloc[1:]
    reference = scores[scores.cell == baseline].set_index(PAIR).score.rename("reference")
    evidence, near = [], []
    for cell in others:
        paired = scores[scores.cell == cell].set_index(PAIR).join(reference, how="inner")
        ratios = log_ratio(paired.score.to_numpy(), paired.reference.to_numpy())
        if not len(ratios):
            continue
        low, high = np.exp(interval(ratios, seed))
        mean = float(np.exp(ratios.mean()))
        near.append(NEAR[0] <= mean <= NEAR[1])
        evidence.append(f"{named(cell)}: {mean:.2f} times the {named(baseline)} score [{low:.2f}, {high:.2f}]")
    return Claim(
        "With BPDA, the score under an input transformation is about the score without it.",
        "Weng et al. 2018, arXiv 1810.08640",
        f"geometric mean of the paired ratios, all norms and targets, from {NEAR[0]} to {NEAR[1]} for every defense",
        _verdict(near),
        evidence or ["no cell with another defense and BPDA"],
        "tables/summary.csv, figures/bpda.png",
    )


def _degenerate(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    evidence, all_of_them = [], []
    for cell in masked.cell:
        rows = scores[scores.cell == cell]
        stuck = rows.capped | np.isinf(rows.score)
        all_of_them.append(bool(stuck.all()))
        evidence.append(f"{named(cell)}: {stuck.sum()} of {len(rows)} scores at the radius R or infinite")
    return Claim(
        "Without BPDA the gradient behind a staircase is zero and the score says nothing: it is R, or infinite.",
        "Goodfellow, arXiv 1804.07870",
        "every score of every cell without BPDA",
        _verdict(all_of_them),
        evidence or ["no cell without BPDA"],
        "tables/scores.csv, column capped",
    )


def _overestimates(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    shares = [_share(scores[scores.cell == cell], named(cell)) for cell in masked.cell]
    return Claim(
        "Gradient masking makes CLEVER overestimate: without BPDA it lies above the distance of adversarial images.",
        "Goodfellow, arXiv 1804.07870",
        "more than half of the scores of every cell without BPDA",
        _verdict([share > 0.5 for share, _ in shares]),
        [text for _, text in shares] or ["no cell without BPDA"],
        "tables/bounds.csv, figures/masking.png",
    )


def _below(scores: pd.DataFrame, of: pd.DataFrame, who: str) -> Claim:
    shares = [_share(scores[scores.cell == cell], named(cell)) for cell in of.cell]
    return Claim(
        f"{who} lies below the smallest adversarial distance that an attack finds, for most images.",
        "Weng et al. 2018, arXiv 1801.10578, where 0 to 22 % lie above (CLEVER L2 against Carlini-Wagner, ImageNet)",
        "fewer than half of the scores above, in every cell; exact binomial intervals",
        _verdict([share < 0.5 for share, _ in shares]),
        [text for _, text in shares] or ["no such cell"],
        "tables/bounds.csv, tables/findings.csv, figures/sandwich.png",
    )


def _ordered(scores: pd.DataFrame, first: pd.DataFrame) -> Claim:
    rows, wanted = scores[scores.cell.isin(first.cell)], ["top2", "random", "least"]
    evidence, ordered = [], []
    for norm, group in rows.groupby("norm", sort=False):
        means = group.groupby("target").score.mean()
        if set(wanted) <= set(means.index):
            top2, random, least = means[wanted]
            ordered.append(bool(top2 < random <= least))
            evidence.append(f"{norm}: " + ", ".join(f"{of_target(name)} {means[name]:.3g}" for name in wanted))
    return Claim(
        "The second most likely class is the nearest: mean scores of top-2 < random <= least likely.",
        "Weng et al. 2018, arXiv 1801.10578, table of ImageNet scores",
        "in every norm, for the first cell",
        _verdict(ordered),
        evidence or ["the targets top2, random and least were not all scored"],
        "tables/summary.csv, figures/scores.png",
    )


def _published(cells: pd.DataFrame) -> Claim:
    there = "densenet121" in set(cells.network)
    return Claim(
        "The published scores of DenseNet-121 on ImageNet.",
        "Weng et al. 2018, arXiv 1810.08640, its tables",
        "numbers beside numbers, below",
        Verdict.UNTESTED,
        [
            "see the comparison below, for those who have the paper's numbers"
            if there
            else "this run is not on ImageNet, and the paper's numbers are not available to this project"
        ],
        "make paper IMAGENET=DIR",
    )


def _share(rows: pd.DataFrame, name: str) -> tuple[float, str]:
    above, total = int(rows.exceeds.sum()), len(rows)
    low, high = share_interval(above, total)
    text = f"{name}: {above} of {total} scores above the smallest distance found"
    return above / total, f"{text}, {above / total:.0%} [{low:.0%}, {high:.0%}]"


def _verdict(true: list[bool]) -> Verdict:
    if not true:
        return Verdict.UNTESTED
    return Verdict.HOLDS if all(true) else Verdict.FAILS
