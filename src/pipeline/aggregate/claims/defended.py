"""Claims about scores with a defense, with BPDA and without."""

import numpy as np
import pandas as pd

from pipeline.aggregate.claims.claim import Claim
from pipeline.aggregate.claims.distances import image_shares
from pipeline.shared.stats.pairing import add_log_ratios, baselines
from pipeline.shared.stats.verdicts import EQUIVALENCE_RANGE, Majority, Mean, Verdict
from pipeline.shared.text.described import UNDEFENDED
from pipeline.shared.text.formats import cell_title

RESAMPLED = "; the bootstrap resamples trainings of the network and images"


def equal_with_bpda(scores: pd.DataFrame, main: pd.DataFrame, seed: int) -> Claim:
    several = main.network.nunique() > 1
    kinds = main.set_index("cell").variant if several else pd.Series(list(main.cell), index=list(main.cell))
    has_undefended = main.groupby("network").transformation.transform("first") == UNDEFENDED
    defended = main[main.bpda & has_undefended & (main.transformation != UNDEFENDED)].cell
    paired = add_log_ratios(scores[scores.cell.isin(main.cell)], baselines(main))
    paired = paired[paired.cell.isin(defended)].assign(kind=lambda rows: rows.cell.map(kinds))
    evidence, verdicts = [], []
    for (kind, norm), group in paired.groupby(["kind", "norm"], sort=False):
        mean = Mean.equivalent(group.log_ratio, group.id, group.network, seed)
        verdicts.append(mean.verdict)
        undefended = scores[(scores.cell == main.cell.iloc[0]) & (scores.norm == norm)].id
        excluded = len(set(undefended) - set(group[group.log_ratio.notna()].id))
        left_out = f", {excluded} of {undefended.nunique()} left out" * bool(excluded)
        ratio = f"{mean.value:.2f} {mean.interval_text('.2f')} over {mean.units_text}{left_out}{mean.undecided_note}"
        name = cell_title(f"{main.family.iloc[0]}-{kind}" if several else str(kind))
        evidence.append(f"{name}, {norm}: {ratio if mean.units['images'] else 'no ratio is defined'}")
    return Claim(
        "With BPDA, the score with an input transformation is about equal to the score without it.",
        "Weng et al. 2018, arXiv 1810.08640",
        "holds if, for every defense and norm, the 90 % interval of the geometric mean ratio to the undefended score "
        f"with the same network, order and sampling lies within "
        f"[{EQUIVALENCE_RANGE[0]}, {EQUIVALENCE_RANGE[1]}]; fails if one lies outside. Only target "
        "classes that an image has with and without the defense are compared; images that the defended "
        f"network misclassifies, or that have no target class in common, are left out{RESAMPLED * several}",
        Verdict.of_all(verdicts),
        evidence or ["no undefended cell, or no cell with a defense and BPDA to compare with it"],
        "tables/summary.csv, figures/bpda.png" + ", tables/spread.csv" * several,
    )


def uninformative_without_bpda(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    evidence, verdicts = [], []
    for cell in masked.cell:
        rows = scores[scores.cell == cell]
        uninformative = (rows.capped | np.isinf(rows.score)).groupby(rows.id).all()
        share = Majority(int(uninformative.sum()), len(uninformative))
        verdicts.append(share.majority if uninformative.all() else Verdict.FAILS)
        note = share.undecided_note * bool(uninformative.all())
        evidence.append(
            f"{cell_title(cell)}: all scores are at the radius R or infinite for {share.count} of {share.total} "
            f"images, hence for at least {share.interval[0]:.0%} of all images (95 %){note}"
        )
    return Claim(
        "Without BPDA the gradient of a piecewise constant defense is zero and the score uninformative: R or infinite.",
        "Goodfellow, arXiv 1804.07870",
        "holds if every score of every cell without BPDA is at the radius or infinite, and there are enough images for "
        "the exact binomial 95 % interval of their share to lie above one half; a single other score refutes it",
        Verdict.of_all(verdicts),
        evidence or ["no cell without BPDA"],
        "tables/scores.csv, column capped",
    )


def overestimates_without_bpda(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    shares = [image_shares(scores[scores.cell == cell], cell) for cell in masked.cell]
    return Claim(
        "Gradient masking makes CLEVER overestimate: without BPDA it lies above the adversarial distance.",
        "Goodfellow, arXiv 1804.07870",
        "holds if, in every cell without BPDA and for every norm and target, more than half of the scores are above "
        "the smallest distance found: exact binomial 95 % intervals above one half; fails if one is below one half",
        Verdict.of_all([share.above for share in shares]),
        [share.text for share in shares] or ["no cell without BPDA"],
        "tables/bounds.csv, figures/masking.png",
    )
