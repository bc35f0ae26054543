"""What the papers claim, and what the numbers of this run say of it.

Verdicts rest on intervals whose unit is the image, never on a point estimate alone: a claim holds or fails where the
whole interval says so, and is undecided otherwise, with the number of images that would decide. Of an experiment with
several trainings of its network, what is said of a defense is a mean over these, too, and its interval draws both.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from pipeline.shared.described import UNDEFENDED
from pipeline.shared.formats import named, of_target
from pipeline.shared.pairing import baselines, kinds, stem, with_ratios
from pipeline.shared.verdicts import NEAR, Majority, Mean, Verdict

THEIRS = "Weng et al. 2018, arXiv 1801.10578, where 0 to 22 % lie above (CLEVER L2 against Carlini-Wagner, ImageNet)"
OURS = "this project, order=gauge"
DRAWN = "; the interval draws trainings of the network and images"
QUANTITIES = {"clever": "CLEVER", "cw": "Carlini and Wagner's attack"}


@dataclass(frozen=True)
class Claim:
    """A claim, its source, the criterion it was judged by, the evidence, the verdict, and the files that show it.

    ``networks``: the verdict on each network that it was tested on, where there are several.
    """

    text: str
    source: str
    criterion: str
    verdict: Verdict
    evidence: list[str]
    shown_in: str
    networks: dict[str, Verdict] = field(default_factory=dict)


def claims(scores: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None, seed: int) -> list[Claim]:
    """All of them, each judged network by network; trainings that differ in their seed alone are one network.

    ``scores``: the rows of tables/scores.csv; ``cells``: what is known of each cell; ``published``: the rows of
    tables/published.csv where it is there.
    """
    families = {str(family): own for family, own in cells.groupby("family", sort=False)}
    judged = [_of_network(scores, own, published, seed) for own in families.values()]
    return [_network_by_network(dict(zip(families, of, strict=True))) for of in zip(*judged, strict=True)]


def _of_network(scores: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None, seed: int) -> list[Claim]:
    attacked = scores[scores.distance.notna()]
    main, tried = cells[cells.order == "first_order"], cells[cells.cell.isin(attacked.cell)]
    masked = main[~main.bpda]
    return [
        _about_the_same(scores, main, seed),
        _degenerate(scores, masked),
        _overestimates(attacked, masked[masked.cell.isin(tried.cell)]),
        _below(attacked, tried[tried.bpda & (tried.order == "first_order")], "First-order CLEVER"),
        _below(attacked, tried[tried.order == "second_order"], "Second-order CLEVER"),
        _below(attacked, tried[tried.order == "gauge"], "CLEVER by the gauge of a staircase", OURS),
        _ordered(scores, main.drop_duplicates("network"), seed),
        _reproduced(cells, published),
        _published(cells),
    ]


def _network_by_network(found: dict[str, Claim]) -> Claim:
    """One claim of several networks: it holds where it holds for all that it was tested on."""
    tested = {network: claim for network, claim in found.items() if claim.verdict is not Verdict.UNTESTED}
    first = next(iter((tested or found).values()))
    if len(found) == 1 or not tested:
        return first
    verdicts = {network: claim.verdict for network, claim in tested.items()}
    return replace(
        first,
        criterion=f"{first.criterion}; for each network",
        verdict=Verdict.of_all(list(verdicts.values())),
        evidence=[line for claim in tested.values() for line in claim.evidence],
        networks=verdicts,
    )


def _about_the_same(scores: pd.DataFrame, main: pd.DataFrame, seed: int) -> Claim:
    several = main.network.nunique() > 1
    of_kind = kinds(main) if several else {str(cell): str(cell) for cell in main.cell}
    bare = main.groupby("network").transformation.transform("first") == UNDEFENDED
    others = main[main.bpda & bare & (main.transformation != UNDEFENDED)].cell
    paired = with_ratios(scores[scores.cell.isin(main.cell)], baselines(main))
    paired = paired[paired.cell.isin(others)].assign(kind=lambda rows: rows.cell.map(of_kind))
    evidence, verdicts = [], []
    for (kind, norm), group in paired.groupby(["kind", "norm"], sort=False):
        found = Mean.equivalent(group.log_ratio, group.id, group.network, seed)
        verdicts.append(found.verdict)
        undefended = scores[(scores.cell == main.cell.iloc[0]) & (scores.norm == norm)].id
        lost = len(set(undefended) - set(group[group.log_ratio.notna()].id))
        left_out = f", without {lost} of {undefended.nunique()}" * bool(lost)
        ratio = f"{found.value:.2f} {found.ends('.2f')} over {found.over}{left_out}{found.open}"
        of = named(f"{main.family.iloc[0]}-{kind}" if several else str(kind))
        evidence.append(f"{of}, {norm}: {ratio if found.units['images'] else 'no ratio is defined'}")
    return Claim(
        "With BPDA, the score under an input transformation is about the score without it.",
        "Weng et al. 2018, arXiv 1810.08640",
        "the 90 % interval of the geometric mean of the ratios to the undefended score of the same network, order and "
        "sampling, over the target classes that an image has with and without the defense, within "
        f"[{NEAR[0]}, {NEAR[1]}] for every defense and norm; fails where it lies outside; without images that the "
        f"defense brings into another class or that share no target class{DRAWN * several}",
        Verdict.of_all(verdicts),
        evidence or ["no undefended cell beside one with a defense and BPDA"],
        "tables/summary.csv, figures/bpda.png" + ", tables/spread.csv" * several,
    )


def _degenerate(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    evidence, verdicts = [], []
    for cell in masked.cell:
        rows = scores[scores.cell == cell]
        stuck = (rows.capped | np.isinf(rows.score)).groupby(rows.id).all()
        share = Majority(int(stuck.sum()), len(stuck))
        verdicts.append(share.most if stuck.all() else Verdict.FAILS)
        evidence.append(
            f"{named(cell)}: all scores of {share.count} of {share.total} images at the radius R or infinite, so of "
            f"{share.interval[0]:.0%} of all images at least (95 %){share.open * bool(stuck.all())}"
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


def _overestimates(scores: pd.DataFrame, masked: pd.DataFrame) -> Claim:
    shares = [_shares(scores[scores.cell == cell], cell) for cell in masked.cell]
    return Claim(
        "Gradient masking makes CLEVER overestimate: without BPDA it lies above the distance of adversarial images.",
        "Goodfellow, arXiv 1804.07870",
        "more than half of the images, in every cell without BPDA, norm and target: exact binomial 95 % intervals "
        "above one half; fails where one is below",
        Verdict.of_all([share.above for share in shares]),
        [share.text for share in shares] or ["no cell without BPDA"],
        "tables/bounds.csv, figures/masking.png",
    )


def _below(scores: pd.DataFrame, of: pd.DataFrame, who: str, source: str = THEIRS) -> Claim:
    shares = [_shares(scores[scores.cell == cell], cell) for cell in of.cell]
    return Claim(
        f"{who} lies below the smallest adversarial distance that an attack finds, for most images.",
        source,
        "above for fewer than half of the images, in every cell, norm and target: exact binomial 95 % intervals below "
        "one half; fails where one is above",
        Verdict.of_all([share.below for share in shares]),
        [share.text for share in shares] or ["no such cell"],
        "tables/bounds.csv, tables/findings.csv, figures/sandwich.png",
    )


def _ordered(scores: pd.DataFrame, first: pd.DataFrame, seed: int) -> Claim:
    rows, wanted = scores[scores.cell.isin(first.cell)], ["top2", "random", "least"]
    evidence, verdicts = [], []
    for (cell, norm), group in rows.groupby(["cell", "norm"], sort=False):
        of_image = group.pivot(index="id", columns="target", values="score").reset_index()
        if not set(wanted) <= set(of_image):
            continue
        means = ", ".join(f"{of_target(name)} {of_image[name].mean():.3g}" for name in wanted)
        steps, over = [], ""
        for nearer, farther in (("top2", "random"), ("random", "least")):
            found = Mean.positive(of_image[farther] - of_image[nearer], of_image.id, seed)
            names = f"{of_target(farther)} minus {of_target(nearer)}"
            steps.append(f"{names} {found.ends('.3g')}{found.open}")
            verdicts.append(found.verdict)
            over = found.over
        evidence.append(f"{named(str(cell))}, {norm}: means {means}; {'; '.join(steps)}; {over}")
    return Claim(
        "The second most likely class is the nearest: mean scores of top-2 < random <= least likely.",
        "Weng et al. 2018, arXiv 1801.10578, table of ImageNet scores",
        "the 95 % intervals of the mean differences, image by image, above 0 in every norm, for the first cell of each "
        "training; fails where one lies below 0",
        Verdict.of_all(verdicts),
        evidence or ["the targets top2, random and least were not all scored"],
        "tables/summary.csv, figures/scores.png",
    )


def _reproduced(cells: pd.DataFrame, published: pd.DataFrame | None) -> Claim:
    names = set(map(stem, cells.network))
    evidence, verdicts = [], []
    for row in [] if published is None else published[published.network.isin(names)].to_dict("records"):
        of = f"{named(row['network'])}, {row['norm']} {of_target(row['target'])}, {QUANTITIES[row['quantity']]}"
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


def _published(cells: pd.DataFrame) -> Claim:
    there = "densenet121" in set(cells.network)
    return Claim(
        "The published scores of DenseNet-121 on ImageNet.",
        "Weng et al. 2018, arXiv 1810.08640, its tables",
        "numbers beside numbers, by those who have the paper's (published=FILE)",
        Verdict.UNTESTED,
        ["tables/published.csv, where the paper's numbers were given" if there else "not of DenseNet-121"],
        "make paper IMAGENET=DIR",
    )


@dataclass(frozen=True)
class _Shares:
    """How many images of a cell have a score above the distance, and whether most do (``above``) or do not."""

    above: Verdict
    below: Verdict
    text: str


def _shares(rows: pd.DataFrame, cell: str) -> _Shares:
    """Norm by norm and target by target, so that an image counts once in each."""
    above, below, texts = [], [], []
    found = rows[np.isfinite(rows.distance)]  # where no attack found anything, no score can be above it
    for (norm, target), group in found.groupby(["norm", "target"], sort=False):
        share = Majority(int(group.exceeds.sum()), len(group))
        above.append(share.most)
        below.append(share.few)
        texts.append(f"{norm} {of_target(target)} {share}")
    text = f"{named(cell)}, images above the smallest distance found: {'; '.join(texts)}"
    return _Shares(Verdict.of_all(above), Verdict.of_all(below), text)
