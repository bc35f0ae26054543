"""Stage attack: finds adversarial distances for every image of one cell, as upper bounds to compare with CLEVER."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from clever._internal.checks import require_bool
from clever.attacks.criterion import SuccessCriterion, random_transformation
from clever.attacks.search import Found, smallest_distances
from clever.attacks.strength import Strength, check_method
from clever.classifier.image_context import ImageContext
from clever.classifier.wrappers import frozen
from clever.defenses.bpda import Defended
from clever.defenses.capabilities import has_useful_gradient
from clever.defenses.chain import Identity
from clever.errors import InputError
from clever.norms import Norm
from pipeline.attack.exact import check_order, exact_distances
from pipeline.attack.store import load_or_attack
from pipeline.attack.taken import take_distances
from pipeline.shared.app import artifacts
from pipeline.shared.app.listed import parse_list, parse_norms
from pipeline.shared.data.selection import Selection, classifier_settings, sampling_settings
from pipeline.shared.data.shard import Shard
from pipeline.shared.models.classifier import build_backward, device
from pipeline.shared.models.networks.two_layer import TwoLayer
from pipeline.shared.store.fingerprint import classifier_key, versions
from pipeline.shared.store.number_versions import ATTACK_VERSION
from pipeline.shared.store.progress import Progress, progress_dir
from pipeline.shared.text.machine import machine

Pair = tuple[ImageContext, int]
"""An image and a target class."""

AUTO = "auto"
"""Value of ``attack.bpda`` that uses BPDA for every defense without a `useful_gradient`."""


def run(config: DictConfig) -> None:
    """Writes distances.csv (one row per image, target and norm), examples.npz (of the first image) and run.json.

    With ``attack.exact`` also exact.csv: the exact L2 distances, checked against attacks and certificates. With
    ``attack.taken_from`` distances.csv and run.json come from another experiment (`take_distances`).
    """
    started = time.perf_counter()
    artifacts.check_writable(artifacts.results_dir(config), artifacts.store_dir(config))
    if config.attack.taken_from is not None:
        _take(config)
        return
    job = Job.of(config)
    with frozen(job.network), job.progress() as progress:
        job.attack(progress)
        if not job.smallest:
            progress.print(f"{config.cell}: this shard has no image to attack")
            return
        table = job.table()
        job.write(table)
        if config.attack.exact:
            exact = job.exact(table)
            artifacts.write_text(artifacts.results_dir(config) / "exact.csv", exact.to_csv(index=False))
            progress.print(f"{config.cell}: exact distances for {exact.exact.notna().mean():.0%} of {len(exact)} rows")
        about = {
            "cell": config.cell,
            "strength": OmegaConf.to_container(config.attack, resolve=True),
            "attacks_computed": progress.computed,
            "attacks_from_store": progress.from_store,
            "passes": job.passes,
            "seconds": round(time.perf_counter() - started, 1),
            "of_all_runs": progress.totals(),
            "machine": machine(job.selection.device),
            "device": str(device(config)),
            "versions": versions(),
        }
        artifacts.write_json(artifacts.results_dir(config) / "run.json", about)
        share = np.isfinite(table.distance).mean()
        folder = artifacts.results_dir(config)
        progress.print(
            f"{config.cell}: adversarial images for {share:.0%} of {len(table)} rows; {folder}/distances.csv"
        )


def _take(config: DictConfig) -> None:
    other = artifacts.experiment_dir(config, str(config.attack.taken_from))
    if Shard(config.shard, config.shards).count > 1:
        print(f"{config.cell}: nothing to do for a shard; a run without shards takes the distances from {other}")
        return
    targets = [str(target) for target in parse_list(config.attack.targets, "attack.targets")]
    norms = [str(norm) for norm in parse_norms(config.attack.norms, "attack.norms")]
    table, record = take_distances(other, artifacts.scores_dir(config, config.cell), config.cell, targets, norms)
    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "distances.csv", table.to_csv(index=False))
    artifacts.write_json(folder / "run.json", record)
    print(f"{config.cell}: {len(table)} distances from {record['taken_from']}; {folder}/distances.csv")


@dataclass
class Job:
    """One cell, or one shard of it, with all settings checked before the long computation; then its results.

    ``together``: how many images are attacked at once. ``smallest``: the distance by image, target class and norm;
    ``rates``: success rates of the adversarial image for a random defense (`Found`). ``examples``: the adversarial
    images of the first image, by target class and norm. ``passes``: forward and backward passes of all attacks,
    including those read from the store.
    """

    config: DictConfig
    selection: Selection
    network: Defended
    strength: Strength
    criterion: SuccessCriterion
    together: int
    smallest: dict[tuple[int, int, Norm], float] = field(default_factory=dict)
    rates: dict[tuple[int, int, Norm], dict[str, float]] = field(default_factory=dict)
    examples: dict[tuple[int, Norm], Tensor] = field(default_factory=dict)
    passes: int = 0

    @classmethod
    def of(cls, config: DictConfig) -> "Job":
        """Checks the settings; an `InputError` lists the valid values."""
        strength, criterion, together = attack_settings(config)
        config = attack_config(config)
        selection = Selection.from_config(config, together)
        return cls(config, selection, attacked_classifier(config, selection.network), strength, criterion, together)

    def progress(self) -> Progress:
        """A counter of this job's attacks."""
        classes = [len(context.classes) for context in self.selection.contexts]
        return Progress(
            self.config,
            progress_dir(self.config, cell_key(self.config, self.network)),
            rows=self.selection.rows,
            left=sum(classes) * len(self.selection.norms),
            unit="attack",
        )

    def attack(self, progress: Progress) -> None:
        """Attacks every image and target class, those of ``together`` prepared images at once."""
        left = progress.left
        for pairs in _groups(self.selection.contexts, self.together):
            images = torch.stack([self.selection.image(context.index) for context, _ in pairs])
            for norm in self.selection.norms:
                result, from_store = self._attack_pairs(pairs, images, norm)
                self._collect(pairs, norm, result)
                (progress.add_from_store if from_store else progress.add_computed)(len(pairs))
            left -= len(pairs) * len(self.selection.norms)
            progress.mark_finished(pairs[-1][0].index, left)

    @cached_property
    def _key(self) -> dict[str, object]:
        """The part of the cache key that all pairs share; it hashes the network's weights, once."""
        return distances_key(self.config, self.network)

    def _attack_pairs(self, pairs: list[Pair], images: Tensor, norm: Norm) -> tuple[Found, bool]:
        pair_keys = [[context.name, context.predicted, target] for context, target in pairs]
        key = self._key | {"pairs": pair_keys, "norm": str(norm)}

        def attack() -> Found:
            return smallest_distances(
                self.network,
                images,
                [context.predicted for context, _ in pairs],
                [target for _, target in pairs],
                norm,
                self.strength,
                seed=self.selection.settings.seed,
                criterion=self.criterion,
            )

        return load_or_attack(artifacts.store_dir(self.config), key, attack)

    def _collect(self, pairs: list[Pair], norm: Norm, result: Found) -> None:
        self.passes += result.forwards + result.backwards
        random = random_transformation(self.network) is not None
        for row, (context, target) in enumerate(pairs):
            self.smallest[context.index, target, norm] = float(result.distance[row])
            rates = {"rate": float(result.rate[row]), "rate_unseen": float(result.unseen[row])}
            self.rates[context.index, target, norm] = rates if random else {}
            if context is self.selection.contexts[0]:
                self.examples[target, norm] = result.images[row]

    def table(self) -> pd.DataFrame:
        """One row per image, target and norm, with the smallest distance over the target's classes."""
        rows: list[dict[str, object]] = []
        for context in self.selection.contexts:
            for norm in self.selection.norms:
                for target, classes in context.targets.items():
                    label = min(classes, key=lambda j: self.smallest[context.index, j, norm])
                    row = {"predicted": context.predicted, "target": target, "target_class": label, "norm": str(norm)}
                    key = (context.index, label, norm)
                    result = {"distance": self.smallest[key]} | self.rates[key]
                    rows.append(self.selection.id_columns(self.config, context) | row | result)
        return pd.DataFrame(rows)

    def exact(self, table: pd.DataFrame) -> pd.DataFrame:
        """The L2 rows of the table with certificate, ``lower``, ``upper`` and the exact distance, NaN if not converged.

        `InputError` for a defense, or a network without a bound of its curvature.
        """
        if not isinstance(self.network.defense, Identity):
            raise InputError(f"attack.exact does not support defenses such as {type(self.network.defense).__name__}")
        rows = table[table.norm == str(Norm.L2)].reset_index(drop=True)
        if rows.empty:
            raise InputError(f"attack.exact requires the norm L2, not {', '.join(map(str, self.selection.norms))}")
        index = {self.selection.id_columns(self.config, at)["id"]: at.index for at in self.selection.contexts}
        images = torch.stack([self.selection.image(index[name]) for name in rows.id]).flatten(1)
        net = TwoLayer.of(self.network.network)
        result = exact_distances(net, images, list(rows.predicted), list(rows.target_class))
        bounds = {name: value.cpu().numpy() for name, value in vars(result).items()}
        exact = rows.assign(**bounds, exact=result.distance.cpu().numpy())
        check_order(exact)
        return exact

    def write(self, table: pd.DataFrame) -> None:
        """Writes the table, and the first image with its adversarial image for each norm and target."""
        folder = artifacts.results_dir(self.config)
        artifacts.write_text(folder / "distances.csv", table.to_csv(index=False))
        first = self.selection.image(self.selection.contexts[0].index)
        examples = {"original": first.cpu().numpy()}
        for row in table[table.id == table.id[0]].itertuples():
            examples[f"{row.norm} {row.target}"] = self.examples[int(row.target_class), Norm(row.norm)].cpu().numpy()
        artifacts.write_atomically(folder / "examples.npz", lambda file: np.savez(file, allow_pickle=False, **examples))


def attack_config(config: DictConfig) -> DictConfig:
    """The configuration with targets and norms replaced by those of ``config.attack``."""
    replaced = {"targets": config.attack.targets, "norms": config.attack.norms}
    return OmegaConf.merge(config, replaced)  # type: ignore[return-value]


def attacked_classifier(config: DictConfig, network: Defended) -> Defended:
    """The classifier to attack, whose surrogate gradient is independent of the one used for the cell's scores."""
    bpda = not has_useful_gradient(network.defense) if config.attack.bpda == AUTO else config.attack.bpda
    surrogate = build_backward(config.attack.backward, network.defense) if bpda else None
    return Defended(network.network, network.defense, bpda=bpda, backward=surrogate)


def distances_key(config: DictConfig, network: Defended) -> dict[str, object]:
    """Everything that determines the distances of a cell, apart from images, target classes and norm."""
    strength, criterion, _ = attack_settings(config)
    return classifier_key(network, classifier_settings(config)) | {
        "strength": repr(strength),
        "chance": repr(criterion) if random_transformation(network) else "",
        "seed": sampling_settings(config).seed,
        "device": device(config).type,
        "attack_version": ATTACK_VERSION,
    }


def cell_key(config: DictConfig, network: Defended) -> dict[str, object]:
    """Everything that determines the distances of a cell, apart from images, targets and norms."""
    settings = sampling_settings(config)
    classes = [settings.reference, settings.random_target, settings.seed]
    return distances_key(config, network) | {"stage": "attack", "settings": repr(classes)}


def attack_settings(config: DictConfig) -> tuple[Strength, SuccessCriterion, int]:
    """The checked settings: the attack's strength, its success criterion, and how many images to attack at once."""
    require_bool("attack.exact", config.attack.exact)
    if config.attack.bpda not in (True, False, AUTO):
        raise InputError(f"attack.bpda is {config.attack.bpda!r}: it must be true, false or {AUTO}")
    strength = attack_strength(config)
    for norm in parse_norms(config.attack.norms, "attack.norms"):
        check_method(strength, norm)
    return strength, success_criterion(config), config.attack.images


def attack_strength(config: DictConfig) -> Strength:
    """The attack's steps, starts, rounds and method; an `InputError` lists the valid values."""
    return Strength(**{name: config.attack[name] for name in ("steps", "starts", "rounds", "method")})


def success_criterion(config: DictConfig) -> SuccessCriterion:
    """The criterion for an adversarial image under a random defense."""
    return SuccessCriterion(**{name: config.attack[name] for name in ("draws", "threshold")})


def _groups(contexts: list[ImageContext], together: int) -> Iterator[list[Pair]]:
    """Groups of images and target classes, from ``together`` prepared images each; independent of interruptions."""
    for _, group in groupby(contexts, key=lambda context: context.index // together):
        yield [(context, target) for context in group for target in context.classes]
