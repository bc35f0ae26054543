"""Stage attack: the smallest adversarial distances found for every image of one cell, upper bounds beside CLEVER."""

import time
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from tqdm.auto import tqdm

from clever import bpda, compute, jpeg_blocks, libjpeg, models, norms, transforms
from clever.bpda import Defended
from clever.checks import flag, whole
from clever.models import frozen
from clever.norms import Norm
from clever.subjects import Subject
from pipeline import artifacts, attacks, refine
from pipeline.app import launch
from pipeline.attack_store import kept
from pipeline.attacks import Found, Strength, smallest_distances
from pipeline.classifiers.fingerprint import code, identity_of, versions
from pipeline.classifiers.networks import device
from pipeline.classifiers.selection import Selection, described

Pair = tuple[Subject, int]
"""An image and a target class."""


def run(config: DictConfig) -> None:
    """Writes distances.csv (a row an image, target and norm), examples.npz (of the first image) and run.json."""
    started = time.perf_counter()
    strength = Strength(**{name: config.attack[name] for name in ("steps", "starts", "rounds")})
    eight_bits, together = config.attack.eight_bits, config.attack.images
    whole("attack.images", together, 1)
    for name in ("eight_bits", "bpda"):
        flag(f"attack.{name}", config.attack[name])
    selection = Selection.of(config)
    # Whether the cell's scores use BPDA or not: the classifier attacked is the same.
    network = Defended(selection.network.network, selection.network.defense, bpda=config.attack.bpda)
    identity = identity_of(network, described(config)) | {
        "strength": repr(strength),
        "eight_bits": eight_bits,
        "seed": selection.settings.seed,
        "device": device(config).type,
        "code": code(attacks, refine, bpda, compute, jpeg_blocks, libjpeg, models, norms, transforms),
        "foolbox": version("foolbox"),
    }
    smallest: dict[tuple[str, int, Norm], tuple[float, torch.Tensor]] = {}
    computed = passes = 0
    pairs = sum(len(subject.classes) for subject in selection.subjects)
    with frozen(network), tqdm(total=pairs * len(selection.norms), unit="attack", desc=str(config.cell)) as bar:
        for rows in _groups(selection.subjects, together):
            about = [[subject.name, subject.predicted, target] for subject, target in rows]
            for norm in selection.norms:

                def attack(rows: list[Pair] = rows, norm: Norm = norm) -> Found:
                    return smallest_distances(
                        network,
                        torch.stack([subject.image for subject, _ in rows]),
                        [subject.predicted for subject, _ in rows],
                        [target for _, target in rows],
                        norm,
                        strength,
                        seed=selection.settings.seed,
                        eight_bits=eight_bits,
                    )

                decided_by = identity | {"pairs": about, "norm": str(norm)}
                found, known = kept(artifacts.store(config), decided_by, attack)
                computed += 0 if known else len(rows)
                passes += found.forwards + found.backwards
                for (subject, target), distance, image in zip(rows, found.distance, found.images, strict=True):
                    smallest[subject.name, target, norm] = float(distance), image
                bar.update(len(rows))

    table, examples = _table(config, selection, smallest)
    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "distances.csv", table.to_csv(index=False))
    artifacts.write_atomically(folder / "examples.npz", lambda file: np.savez(file, allow_pickle=False, **examples))
    artifacts.write_json(
        folder / "run.json",
        {
            "cell": config.cell,
            "strength": OmegaConf.to_container(config.attack, resolve=True),
            "attacks_computed": computed,
            "attacks_from_store": pairs * len(selection.norms) - computed,
            "passes": passes,
            "seconds": round(time.perf_counter() - started, 1),
            "versions": versions() | {"foolbox": version("foolbox")},
        },
    )
    print(
        f"{config.cell}: adversarial images for {np.isfinite(table.distance).mean():.0%} of {len(table)} rows; {folder}"
    )


def _groups(subjects: list[Subject], together: int) -> Iterator[list[Pair]]:
    """The images and target classes, those of ``together`` images at once: fixed, so that a killed run goes on."""
    for start in range(0, len(subjects), together):
        yield [(subject, target) for subject in subjects[start : start + together] for target in subject.classes]


def _table(
    config: DictConfig, selection: Selection, smallest: dict[tuple[str, int, Norm], tuple[float, torch.Tensor]]
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """A row an image, target and norm: the nearest over the classes of the target; the first image's adversaries."""
    rows: list[dict[str, object]] = []
    examples = {"original": selection.subjects[0].image.cpu().numpy()}
    for subject in selection.subjects:
        for norm in selection.norms:
            for target, classes in subject.targets.items():
                label = min(classes, key=lambda j: smallest[subject.name, j, norm][0])
                distance, image = smallest[subject.name, label, norm]
                row = {"predicted": subject.predicted, "target": target, "target_class": label, "norm": str(norm)}
                rows.append(selection.known(config, subject) | row | {"distance": distance})
                if subject is selection.subjects[0]:
                    examples[f"{norm} {target}"] = image.cpu().numpy()
    return pd.DataFrame(rows), examples


def main() -> None:
    """The command line."""
    launch("attack")


if __name__ == "__main__":
    main()
