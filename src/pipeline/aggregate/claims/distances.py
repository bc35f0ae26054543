"""Claims about scores and the distances of adversarial images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.aggregate.claims.claim import Claim
from pipeline.shared.stats.verdicts import Majority, Verdict
from pipeline.shared.text.formats import cell_title, target_title

WENG = "Weng et al. 2018, arXiv 1801.10578, where 0 to 22 % lie above (CLEVER L2 against Carlini-Wagner, ImageNet)"


def below_the_distance(scores: pd.DataFrame, of: pd.DataFrame, who: str, source: str = WENG) -> Claim:
    shares = [image_shares(scores[scores.cell == cell], cell) for cell in of.cell]
    return Claim(
        f"{who} lies below the smallest adversarial distance that an attack finds, for most images.",
        source,
        "above for fewer than half of the images, in every cell, norm and target: exact binomial 95 % intervals below "
        "one half; fails where one is above",
        Verdict.of_all([share.below for share in shares]),
        [share.text for share in shares] or ["no such cell"],
        "tables/bounds.csv, tables/findings.csv, figures/sandwich.png",
    )


@dataclass(frozen=True)
class Shares:
    """How many images of a cell have a score above the distance, and whether most do (``above``) or do not."""

    above: Verdict
    below: Verdict
    text: str


def image_shares(rows: pd.DataFrame, cell: str) -> Shares:
    """Norm by norm and target by target, so that an image counts once in each."""
    above, below, texts = [], [], []
    found = rows[np.isfinite(rows.distance)]  # where no attack found anything, no score can be above it
    for (norm, target), group in found.groupby(["norm", "target"], sort=False):
        share = Majority(int(group.above_distance.sum()), len(group))
        above.append(share.majority)
        below.append(share.minority)
        texts.append(f"{norm} {target_title(target)} {share}")
    text = f"{cell_title(cell)}, images above the smallest distance found: {'; '.join(texts)}"
    return Shares(Verdict.of_all(above), Verdict.of_all(below), text)
