"""Claims about published numbers: the order of target classes, MNIST, and ImageNet."""

import numpy as np
import pandas as pd

from pipeline.aggregate.claims.claim import Claim
from pipeline.shared.stats.verdicts import Mean, Verdict
from pipeline.shared.text.formats import cell_title, target_title

QUANTITIES = {"clever": "CLEVER", "cw": "Carlini and Wagner's attack"}


def ordered_targets(scores: pd.DataFrame, first: pd.DataFrame, seed: int) -> Claim:
    rows, targets = scores[scores.cell.isin(first.cell)], ["top2", "random", "least"]
    evidence, verdicts = [], []
    for (cell, norm), group in rows.groupby(["cell", "norm"], sort=False):
        by_image = group.pivot(index="id", columns="target", values="score").reset_index()
        if not set(targets) <= set(by_image):
            continue
        means = ", ".join(f"{target_title(target)} {by_image[target].mean():.3g}" for target in targets)
        differences, over = [], ""
        for nearer, farther in (("top2", "random"), ("random", "least")):
            mean = Mean.positive(by_image[farther] - by_image[nearer], by_image.id, seed)
            differences.append(
                f"{target_title(farther)} minus {target_title(nearer)} {mean.interval_text('.3g')}{mean.undecided_note}"
            )
            verdicts.append(mean.verdict)
            over = mean.units_text
        evidence.append(f"{cell_title(str(cell))}, {norm}: means {means}; {'; '.join(differences)}; {over}")
    return Claim(
        "The second most likely class is the nearest: mean scores are ordered top-2 < random <= least likely.",
        "Weng et al. 2018, arXiv 1801.10578, table of ImageNet scores",
        "holds if the 95 % intervals of the mean paired differences lie above 0 in every norm, for the first cell of "
        "each trained network; fails if one lies below 0",
        Verdict.of_all(verdicts),
        evidence or ["the targets top2, random and least were not all scored"],
        "tables/summary.csv, figures/scores.png",
    )


def reproduced(cells: pd.DataFrame, published: pd.DataFrame | None) -> Claim:
    evidence, verdicts = [], []
    for row in [] if published is None else published[published.network.isin(cells.base_network)].to_dict("records"):
        name = (
            f"{cell_title(row['network'])}, {row['norm']} {target_title(row['target'])}, {QUANTITIES[row['quantity']]}"
        )
        means = f"{name}: published {row['published']:.3g}, ours {row['mean']:.3g}"
        low, high = row["expected_low"], row["expected_high"]
        if np.isnan(low):
            verdicts.append(Verdict.UNDECIDED)
            needed = "more trainings" if row["seeds"] < 2 else "the number of published images (column images)"
            evidence.append(f"{means} over {row['seeds']} trainings, undecided: a prediction interval needs {needed}")
        else:
            inside = low <= row["published"] <= high
            verdicts.append(Verdict.HOLDS if inside else Verdict.FAILS)
            expected = f"prediction interval [{low:.3g}, {high:.3g}]"
            evidence.append(f"{means} over {row['seeds']} trainings, {expected}{', outside' * (not inside)}")
    return Claim(
        "Networks retrained with the published recipe reproduce the published averages on MNIST.",
        "Weng et al. 2018, arXiv 1801.10578, as submitted to ICLR 2018",
        "holds if each published average lies within the 95 % prediction interval for a retrained network on other "
        "images; fails if one lies outside; undecided with a single training",
        Verdict.of_all(verdicts),
        evidence or ["no network of the published table"],
        "tables/published.csv, figures/published.png",
    )


def imagenet_scores() -> Claim:
    """The paper's ImageNet scores, which this project does not have."""
    return Claim(
        "The published scores of DenseNet-121 on ImageNet are reproduced.",
        "Weng et al. 2018, arXiv 1810.08640, its tables",
        "comparison with the paper's numbers, for readers who have them (published=FILE)",
        Verdict.UNTESTED,
        ["tables/published.csv, if the paper's numbers were supplied"],
        "make paper IMAGENET=DIR",
    )
