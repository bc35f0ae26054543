"""Claims about scores and adversarial distances."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.aggregate.claims.claim import Claim
from pipeline.shared.stats.verdicts import Majority, Verdict
from pipeline.shared.text.formats import cell_title, target_title

WENG = "Weng et al. 2018, arXiv 1801.10578, where 0 to 22 % lie above (CLEVER L2 vs. Carlini-Wagner, ImageNet)"


def below_the_distance(scores: pd.DataFrame, cells: pd.DataFrame, method: str, source: str = WENG) -> Claim:
    shares = [image_shares(scores[scores.cell == cell], cell) for cell in cells.cell]
    return Claim(
        f"{method} lies below the smallest adversarial distance found by attacks, for most images.",
        source,
        "holds if, in every cell and for every norm and target, fewer than half of the scores are above the distance: "
        "exact binomial 95 % intervals below one half; fails if one is above one half",
        Verdict.of_all([share.below for share in shares]),
        [share.text for share in shares] or ["no such cell"],
        "tables/bounds.csv, tables/findings.csv, figures/sandwich.png",
    )


@dataclass(frozen=True)
class Shares:
    """Verdicts on whether most images of a cell have a score ``above`` or ``below`` the distance, and the counts."""

    above: Verdict
    below: Verdict
    text: str


def image_shares(rows: pd.DataFrame, cell: str) -> Shares:
    """Counts separately for each norm and target, so that an image counts once in each."""
    above, below, texts = [], [], []
    attacked = rows[np.isfinite(rows.distance)]  # without an adversarial image, no score can be above its distance
    for (norm, target), group in attacked.groupby(["norm", "target"], sort=False):
        share = Majority(int(group.above_distance.sum()), len(group))
        above.append(share.majority)
        below.append(share.minority)
        texts.append(f"{norm} {target_title(target)} {share}")
    text = f"{cell_title(cell)}, images above the smallest distance found: {'; '.join(texts)}"
    return Shares(Verdict.of_all(above), Verdict.of_all(below), text)
