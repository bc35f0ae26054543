"""Stage attack: the smallest adversarial distances found for every image of one cell, upper bounds beside CLEVER."""

import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from tqdm.auto import tqdm

from clever import bpda, compute, jpeg_blocks, libjpeg, models, norms, transforms
from clever.bpda import Defended
from clever.checks import flag
from clever.models import frozen
from clever.norms import Norm
from clever.subjects import Subject
from pipeline import artifacts, attacks, refine
from pipeline.app import launch
from pipeline.attack_store import found_by
from pipeline.attacks import Found, Strength, smallest_distances
from pipeline.classifiers.fingerprint import code, identity_of, versions
from pipeline.classifiers.networks import device
from pipeline.classifiers.selection import Selection, described, settings_of
from pipeline.progress import Progress, about_cell

Pair = tuple[Subject, int]
"""An image and a target class."""


def run(config: DictConfig) -> None:
    """Writes distances.csv (a row an image, target and norm), examples.npz (of the first image) and run.json."""
    started = time.perf_counter()
    artifacts.writable(artifacts.results_dir(config), artifacts.store(config))
    strength, together = checked(config)
    selection = Selection.of(config, together)
    network = attacked_of(config, selection.network)
    decided = decided_by(config, network)
    smallest: dict[tuple[int, int, Norm], float] = {}
    examples: dict[tuple[int, Norm], torch.Tensor] = {}
    computed = passes = 0
    per_image = max((len(subject.classes) for subject in selection.subjects), default=0) * len(selection.norms)
    reports = about_cell(config, "attack", decided)
    total = sum(len(subject.classes) for subject in selection.subjects) * len(selection.norms)
    with (
        frozen(network),
        tqdm(total=total, unit="attack", desc=str(config.cell)) as bar,
        Progress(config, reports, selection.shard, together, per_image) as progress,
    ):
        for rows in _groups(selection.subjects, together):
            pairs = [[subject.name, subject.predicted, target] for subject, target in rows]
            images = torch.stack([selection.image(subject.index) for subject, _ in rows])
            for norm in selection.norms:

                def attack(rows: list[Pair] = rows, images: torch.Tensor = images, norm: Norm = norm) -> Found:
                    return smallest_distances(
                        network,
                        images,
                        [subject.predicted for subject, _ in rows],
                        [target for _, target in rows],
                        norm,
                        strength,
                        seed=selection.settings.seed,
                        eight_bits=config.attack.eight_bits,
                    )

                found, known = found_by(artifacts.store(config), decided | {"pairs": pairs, "norm": str(norm)}, attack)
                computed += 0 if known else len(rows)
                passes += found.forwards + found.backwards
                for (subject, target), distance, image in zip(rows, found.distance, found.images, strict=True):
                    smallest[subject.index, target, norm] = float(distance)
                    if subject is selection.subjects[0]:
                        examples[target, norm] = image
                bar.update(len(rows))
                progress.computed(0 if known else len(rows))
            progress.reached(rows[-1][0].index)

    if not smallest:
        print(f"{config.cell}: this shard has no image to attack")
        return
    table = _table(config, selection, smallest)
    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "distances.csv", table.to_csv(index=False))
    shown = _examples(selection, table, examples)
    artifacts.write_atomically(folder / "examples.npz", lambda file: np.savez(file, allow_pickle=False, **shown))
    artifacts.write_json(
        folder / "run.json",
        {
            "cell": config.cell,
            "strength": OmegaConf.to_container(config.attack, resolve=True),
            "attacks_computed": computed,
            "attacks_from_store": total - computed,
            "passes": passes,
            "seconds": round(time.perf_counter() - started, 1),
            "versions": versions() | {"foolbox": version("foolbox")},
        },
    )
    print(
        f"{config.cell}: adversarial images for {np.isfinite(table.distance).mean():.0%} of {len(table)} rows; {folder}"
    )


def attacked_of(config: DictConfig, network: Defended) -> Defended:
    """The classifier attacked: the same one whether the cell's scores use BPDA or not."""
    return Defended(network.network, network.defense, bpda=config.attack.bpda)


def decided_by(config: DictConfig, network: Defended) -> dict[str, object]:
    """All that decides the distances of a cell, given images, target classes and norm."""
    return identity_of(network, described(config)) | {
        "strength": repr(checked(config)[0]),
        "eight_bits": config.attack.eight_bits,
        "seed": settings_of(config).seed,
        "device": device(config).type,
        "code": code(attacks, refine, bpda, compute, jpeg_blocks, libjpeg, models, norms, transforms),
        "foolbox": version("foolbox"),
    }


def checked(config: DictConfig) -> tuple[Strength, int]:
    """The settings of the attack, checked: how hard to try, and how many images at once."""
    for name in ("eight_bits", "bpda"):
        flag(f"attack.{name}", config.attack[name])
    return Strength(**{name: config.attack[name] for name in ("steps", "starts", "rounds")}), config.attack.images


def _groups(subjects: list[Subject], together: int) -> Iterator[list[Pair]]:
    """The images and target classes, those of ``together`` prepared images at once: fixed, whatever was killed."""
    for _, group in groupby(subjects, key=lambda subject: subject.index // together):
        yield [(subject, target) for subject in group for target in subject.classes]


def _table(config: DictConfig, selection: Selection, smallest: dict[tuple[int, int, Norm], float]) -> pd.DataFrame:
    """A row an image, target and norm: the nearest over the classes of the target."""
    rows: list[dict[str, object]] = []
    for subject in selection.subjects:
        for norm in selection.norms:
            for target, classes in subject.targets.items():
                label = min(classes, key=lambda j: smallest[subject.index, j, norm])
                row = {"predicted": subject.predicted, "target": target, "target_class": label, "norm": str(norm)}
                distance = smallest[subject.index, label, norm]
                rows.append(selection.known(config, subject) | row | {"distance": distance})
    return pd.DataFrame(rows)


def _examples(
    selection: Selection, table: pd.DataFrame, adversaries: dict[tuple[int, Norm], torch.Tensor]
) -> dict[str, np.ndarray]:
    """The first image, and its adversary for each norm and target."""
    shown = {"original": selection.image(selection.subjects[0].index).cpu().numpy()}
    for row in table[table.id == table.id[0]].itertuples():
        shown[f"{row.norm} {row.target}"] = adversaries[int(row.target_class), Norm(row.norm)].cpu().numpy()
    return shown


def main() -> None:
    """The command line."""
    launch("attack")


if __name__ == "__main__":
    main()
