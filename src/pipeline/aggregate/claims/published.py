"""Claims about numbers that papers publish: of target classes, of MNIST, of ImageNet."""

import numpy as np
import pandas as pd

from pipeline.aggregate.claims.claim import Claim
from pipeline.shared.stats.verdicts import Mean, Verdict
from pipeline.shared.text.formats import cell_title, target_title

QUANTITIES = {"clever": "CLEVER", "cw": "Carlini and Wagner's attack"}


def ordered_targets(scores: pd.DataFrame, first: pd.DataFrame, seed: int) -> Claim:
    rows, wanted = scores[scores.cell.isin(first.cell)], ["top2", "random", "least"]
    evidence, verdicts = [], []
    for (cell, norm), group in rows.groupby(["cell", "norm"], sort=False):
        of_image = group.pivot(index="id", columns="target", values="score").reset_index()
        if not set(wanted) <= set(of_image):
            continue
        means = ", ".join(f"{target_title(name)} {of_image[name].mean():.3g}" for name in wanted)
        steps, over = [], ""
        for nearer, farther in (("top2", "random"), ("random", "least")):
            found = Mean.positive(of_image[farther] - of_image[nearer], of_image.id, seed)
            names = f"{target_title(farther)} minus {target_title(nearer)}"
            steps.append(f"{names} {found.interval_text('.3g')}{found.undecided_note}")
            verdicts.append(found.verdict)
            over = found.units_text
        evidence.append(f"{cell_title(str(cell))}, {norm}: means {means}; {'; '.join(steps)}; {over}")
    return Claim(
        "The second most likely class is the nearest: mean scores of top-2 < random <= least likely.",
        "Weng et al. 2018, arXiv 1801.10578, table of ImageNet scores",
        "the 95 % intervals of the mean differences, image by image, above 0 in every norm, for the first cell of each "
        "training; fails where one lies below 0",
        Verdict.of_all(verdicts),
        evidence or ["the targets top2, random and least were not all scored"],
        "tables/summary.csv, figures/scores.png",
    )


def reproduced(cells: pd.DataFrame, published: pd.DataFrame | None) -> Claim:
    evidence, verdicts = [], []
    for row in [] if published is None else published[published.network.isin(cells.base_network)].to_dict("records"):
        of = f"{cell_title(row['network'])}, {row['norm']} {target_title(row['target'])}, {QUANTITIES[row['quantity']]}"
        told = f"{of}: published {row['published']:.3g}, ours {row['mean']:.3g}"
        low, high = row["expected_low"], row["expected_high"]
        if np.isnan(low):
            verdicts.append(Verdict.UNDECIDED)
            evidence.append(f"{told} in one training, undecided: more trainings would tell what to expect of another")
        else:
            inside = low <= row["published"] <= high
            verdicts.append(Verdict.HOLDS if inside else Verdict.FAILS)
            expected = f"expected of another [{low:.3g}, {high:.3g}]"
            evidence.append(f"{told} over {row['seeds']} trainings, {expected}{', outside' * (not inside)}")
    return Claim(
        "Networks trained anew by the published recipe have the published averages on MNIST.",
        "Weng et al. 2018, arXiv 1801.10578, in the form submitted to ICLR 2018",
        "each published average within the 95 % interval for the average of one more training over other images; fails "
        "where one lies outside, is undecided with a single training",
        Verdict.of_all(verdicts),
        evidence or ["no network of that table"],
        "tables/published.csv, figures/published.png",
    )


def imagenet_scores() -> Claim:
    """The paper's own scores, which this project does not have."""
    return Claim(
        "The published scores of DenseNet-121 on ImageNet.",
        "Weng et al. 2018, arXiv 1810.08640, its tables",
        "numbers beside numbers, by those who have the paper's (published=FILE)",
        Verdict.UNTESTED,
        ["tables/published.csv, where the paper's numbers were given"],
        "make paper IMAGENET=DIR",
    )
