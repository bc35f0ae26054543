"""The tables that some experiments have and others have not, as text: their file's name, title and columns."""

from collections.abc import Callable, Mapping

import pandas as pd

from pipeline.shared.formats import UNITS, ends, given, intervals, named, number, of_target, percentage, share
from pipeline.shared.methods import CLEVER
from pipeline.shared.printed import at_equal_tightness


def defenses(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.defenses`."""
    return pd.DataFrame(
        {
            "cell": table.cell.map(named),
            "norm": table.norm,
            "target": table.target.map(of_target),
            "right on": table.accuracy.map("{:.1%}".format),
            "CLEVER": table["mean"].map(number),
            "ratio": intervals(table, "ratio"),
            "pairs": table.pairs,
            "smallest distance": table.distance.map(number),
            "attack found": table.found.map(percentage),
            "rate": table.rate.map(percentage),
            "rate, unseen draws": table.rate_unseen.map(percentage),
            "ms a gradient": table.gradient.map(number),
        }
    )


def draws(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.draws`."""
    return pd.DataFrame(
        {
            "network": table.network.map(named),
            "defense": table.defense.map(named),
            "norm": table.norm,
            "target": table.target.map(of_target),
            "score": table.way.map({"expectation": "of the mean over", "worst": "worst of single draws"}),
            "draws": table.draws,
            "mean": table["mean"].map(number),
            "spread": table.spread.map(number),
            "smallest": table.low.map(number),
            "largest": table.high.map(number),
            "sets of draws": table.sets,
            "images": table.images,
        }
    )


def networks(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.networks.beside_each_other`."""
    return pd.DataFrame(
        {
            "network": table.network.map(named),
            "right on": table.accuracy.map("{:.1%}".format),
            "score": table.kind.map(named),
            "norm": table.norm,
            "target": table.target.map(of_target),
            "CLEVER": intervals(table, "score"),
            "smallest distance": intervals(table, "distance"),
            "images": table.images,
        }
    )


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.networks.agreement`."""
    return pd.DataFrame(
        {
            "score": table.kind.map(named),
            "norm": table.norm,
            "target": table.target.map(of_target),
            "by CLEVER": table.by_score.map(named),
            "by attacks": table.by_attack.map(named),
            "Kendall's tau": intervals(table, "tau"),
            "same order": [share(*row) for row in table[["same", "same_low", "same_high"]].to_numpy()],
            "images": table.images,
            "tau within a network": table.tau_within.map(number),
        }
    )


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.spread`."""
    return pd.DataFrame(
        {
            "network": table.family.map(named),
            "trainings": table.networks,
            "cell": table.kind.map(named),
            "norm": table.norm,
            "target": table.target.map(of_target),
            "CLEVER": table.score.map(number),
            "spread between trainings": table.between_networks.map(number),
            "between images": table.between_images.map(number),
            "capped": table.capped.map(percentage),
            "images": table.images,
            "ratio": table.ratio.map(given),
            "images alone": ends(table, "images"),
            "trainings alone": ends(table, "networks"),
            "both": ends(table, "both"),
            "pairs": table.pairs.where(table.ratio.notna(), ""),
        }
    )


def answers(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.truth.answered`."""
    return pd.DataFrame(
        {
            "network": table.network.map(named),
            "target": table.target.map(of_target),
            "images": table.images,
            "exact": [
                f"{known}: {known / images:.0%}" for known, images in zip(table.exact, table.images, strict=True)
            ],
            "median": table["median"].map(number),
            "smallest": table.least.map(number),
            "largest": table.most.map(number),
        }
    )


def over_exact(table: pd.DataFrame) -> pd.DataFrame:
    """Of `pipeline.aggregate.calibration.calibrate`, where the distance is the exact one."""
    above = table[["exceeding", "images", "above_low", "above_high"]].to_numpy()
    return pd.DataFrame(
        {
            "estimate": [
                named(cell) if method == CLEVER else method
                for cell, method in zip(table.cell, table.method, strict=True)
            ],
            "target": table.target.map(of_target),
            "median": table.ratio.map(number),
            "5 %": table.ratio_5.map(number),
            "95 %": table.ratio_95.map(number),
            "above": [f"{count:.0f} of {total:.0f} [{low:.0%}, {high:.0%}]" for count, total, low, high in above],
        }
        | at_equal_tightness(table)
    )


EXTRAS: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "defenses": (f"What each defense gives and costs, {UNITS}", defenses),
    "draws": (f"Scores by the number of draws, {UNITS}", draws),
    "networks": (f"Networks beside each other, geometric means, {UNITS}", networks),
    "agreement": (
        "Order of the networks: by CLEVER, and by attacks, image by image; no interval of a tau that is the same for "
        "all images",
        agreement,
    ),
    "spread": (
        "Trainings of one network that differ in their seed, beside images: standard deviations of log scores, and "
        "the ratio to the baseline with 90 % intervals that draw images alone, trainings alone, and both",
        spread,
    ),
    "exact_answers": (f"Images with an exact L2 distance, {UNITS}", answers),
    "exact_summary": ("Estimates over the exact L2 distance, and at equal tightness", over_exact),
}
"""By the name of the file."""


def sections(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Those that are there and not empty, by their titles, as `pipeline.shared.printed.sections`."""
    there = [name for name in EXTRAS if name in tables and len(tables[name])]
    return {EXTRAS[name][0]: EXTRAS[name][1](tables[name]) for name in there}
