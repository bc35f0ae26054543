"""Claims about scores behind a defense, with BPDA and without."""

import numpy as np
import pandas as pd

from pipeline.aggregate.claims.claim import Claim
from pipeline.aggregate.claims.distances import image_shares
from pipeline.shared.stats.pairing import add_log_ratios, baselines
from pipeline.shared.stats.verdicts import EQUIVALENCE_RANGE, Majority, Mean, Verdict
from pipeline.shared.text.described import UNDEFENDED
from pipeline.shared.text.formats import cell_title

DRAWN = "; the interval draws trainings of the network and images"


def about_the_same(scores: pd.DataFrame, main: pd.DataFrame, seed: int) -> Claim:
    several = main.network.nunique() > 1
    of_kind = main.set_index("cell").variant if several else pd.Series(list(main.cell), index=list(main.cell))
    bare = main.groupby("network").transformation.transform("first") == UNDEFENDED
    others = main[main.bpda & bare & (main.transformation != UNDEFENDED)].cell
    paired = add_log_ratios(scores[scores.cell.isin(main.cell)], baselines(main))
    paired = paired[paired.cell.isin(others)].assign(kind=lambda rows: rows.cell.map(of_kind))
    evidence, verdicts = [], []
    for (kind, norm), group in paired.groupby(["kind", "norm"], sort=False):
        found = Mean.equivalent(group.log_ratio, group.id, group.network, seed)
        verdicts.append(found.verdict)
        undefended = scores[(scores.cell == main.cell.iloc[0]) & (scores.norm == norm)].id
        lost = len(set(undefended) - set(group[group.log_ratio.notna()].id))
        left_out = f", without {lost} of {undefended.nunique()}" * bool(lost)
        ratio = (
            f"{found.value:.2f} {found.interval_text('.2f')} over {found.units_text}{left_out}{found.undecided_note}"
        )
        of = cell_title(f"{main.family.iloc[0]}-{kind}" if several else str(kind))
        evidence.append(f"{of}, {norm}: {ratio if found.units['images'] else 'no ratio is defined'}")
    return Claim(
        "With BPDA, the score under an input transformation is about the score without it.",
        "Weng et al. 2018, arXiv 1810.08640",
        "the 90 % interval of the geometric mean of the ratios to the undefended score of the same network, order and "
        "sampling, over the target classes that an image has with and without the defense, within "
        f"[{EQUIVALENCE_RANGE[0]}, {EQUIVALENCE_RANGE[1]}] for every defense and norm; fails where it lies outside; "
        f"without images that the defense brings into another class or that share no target class{DRAWN * several}",
        Verdict.of_all(verdicts),
        evidence or ["no undefended cell beside one with a defense and BPDA"],
        "tables/summary.csv, figures/bpda.png" + ", tables/spread.csv" * several,
    )


def uninformative_without_bpda(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    evidence, verdicts = [], []
    for cell in masked.cell:
        rows = scores[scores.cell == cell]
        stuck = (rows.capped | np.isinf(rows.score)).groupby(rows.id).all()
        share = Majority(int(stuck.sum()), len(stuck))
        verdicts.append(share.majority if stuck.all() else Verdict.FAILS)
        evidence.append(
            f"{cell_title(cell)}: all scores of {share.count} of {share.total} images at the radius R or infinite, so "
            f"of {share.interval[0]:.0%} of all images at least (95 %){share.undecided_note * bool(stuck.all())}"
        )
    return Claim(
        "Without BPDA the gradient behind a staircase is zero and the score says nothing: it is R, or infinite.",
        "Goodfellow, arXiv 1804.07870",
        "every score of every cell without BPDA, of so many images that the exact binomial 95 % interval of the share "
        "of such images lies above one half; a single other score refutes it",
        Verdict.of_all(verdicts),
        evidence or ["no cell without BPDA"],
        "tables/scores.csv, column capped",
    )


def overestimates_without_bpda(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    shares = [image_shares(scores[scores.cell == cell], cell) for cell in masked.cell]
    return Claim(
        "Gradient masking makes CLEVER overestimate: without BPDA it lies above the distance of adversarial images.",
        "Goodfellow, arXiv 1804.07870",
        "more than half of the images, in every cell without BPDA, norm and target: exact binomial 95 % intervals "
        "above one half; fails where one is below",
        Verdict.of_all([share.above for share in shares]),
        [share.text for share in shares] or ["no cell without BPDA"],
        "tables/bounds.csv, figures/masking.png",
    )
