"""Stage attack: the smallest adversarial distances found for every image of one cell, upper bounds beside CLEVER."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from pipeline.attack.taken import taken
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
"""Of ``attack.bpda``: BPDA for all defenses without a `useful_gradient`."""


def run(config: DictConfig) -> None:
    """Writes distances.csv (a row an image, target and norm), examples.npz (of the first image) and run.json.

    With ``attack.exact`` also exact.csv: the exact L2 distances, checked against attacks and certificates. With
    ``attack.taken_from`` the first and the last are those of another experiment (`taken.taken`).
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
            progress.print(
                f"{config.cell}: an exact distance for {exact.exact.notna().mean():.0%} of {len(exact)} rows"
            )
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
        where = artifacts.results_dir(config)
        progress.print(f"{config.cell}: adversarial images for {share:.0%} of {len(table)} rows; {where}/distances.csv")


def _take(config: DictConfig) -> None:
    other = artifacts.experiment_dir(config, str(config.attack.taken_from))
    if Shard(config.shard, config.shards).count > 1:
        print(f"{config.cell}: no shard attacks anything, the run without shards takes the distances from {other}")
        return
    targets = [str(target) for target in parse_list(config.attack.targets, "attack.targets")]
    norms = [str(norm) for norm in parse_norms(config.attack.norms, "attack.norms")]
    table, told = taken(other, artifacts.scores_dir(config, config.cell), config.cell, targets, norms)
    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "distances.csv", table.to_csv(index=False))
    artifacts.write_json(folder / "run.json", told)
    print(f"{config.cell}: {len(table)} distances from {told['taken_from']}; {folder}/distances.csv")


@dataclass
class Job:
    """One cell, or one shard of it, with everything checked that can be before long work; then what was found.

    ``smallest``: the distance by image, target class and norm; ``rates``, behind a random defense, those of its image
    (`Found`). ``examples``: the adversarial images of the first image, by target class and norm. ``passes``: forward
    and backward passes of all attacks, those of the store included.
    """

    config: DictConfig
    selection: Selection
    network: Defended
    strength: Strength
    chance: SuccessCriterion
    together: int
    smallest: dict[tuple[int, int, Norm], float] = field(default_factory=dict)
    rates: dict[tuple[int, int, Norm], dict[str, float]] = field(default_factory=dict)
    examples: dict[tuple[int, Norm], Tensor] = field(default_factory=dict)
    passes: int = 0

    @classmethod
    def of(cls, config: DictConfig) -> "Job":
        """`InputError` says what would be valid."""
        strength, chance, together = checked(config)
        config = asked(config)
        selection = Selection.from_config(config, together)
        return cls(config, selection, attacked_of(config, selection.network), strength, chance, together)

    def progress(self) -> Progress:
        """What counts the attacks of this job."""
        classes = [len(context.classes) for context in self.selection.contexts]
        return Progress(
            self.config,
            progress_dir(self.config, cell_key(self.config, self.network)),
            rows=self.selection.rows,
            left=sum(classes) * len(self.selection.norms),
            unit="attack",
        )

    def attack(self, progress: Progress) -> None:
        """Every image and target class, those of ``together`` prepared images at once."""
        left = progress.left
        for pairs in _groups(self.selection.contexts, self.together):
            images = torch.stack([self.selection.image(context.index) for context, _ in pairs])
            for norm in self.selection.norms:
                found, known = self._found(pairs, images, norm)
                self._keep(pairs, norm, found)
                (progress.add_from_store if known else progress.add_computed)(len(pairs))
            left -= len(pairs) * len(self.selection.norms)
            progress.mark_finished(pairs[-1][0].index, left)

    def _found(self, pairs: list[Pair], images: Tensor, norm: Norm) -> tuple[Found, bool]:
        named = [[context.name, context.predicted, target] for context, target in pairs]
        key = distances_key(self.config, self.network) | {"pairs": named, "norm": str(norm)}

        def attack() -> Found:
            return smallest_distances(
                self.network,
                images,
                [context.predicted for context, _ in pairs],
                [target for _, target in pairs],
                norm,
                self.strength,
                seed=self.selection.settings.seed,
                criterion=self.chance,
            )

        return load_or_attack(artifacts.store_dir(self.config), key, attack)

    def _keep(self, pairs: list[Pair], norm: Norm, found: Found) -> None:
        self.passes += found.forwards + found.backwards
        random = random_transformation(self.network) is not None
        for row, (context, target) in enumerate(pairs):
            self.smallest[context.index, target, norm] = float(found.distance[row])
            rates = {"rate": float(found.rate[row]), "rate_unseen": float(found.unseen[row])}
            self.rates[context.index, target, norm] = rates if random else {}
            if context is self.selection.contexts[0]:
                self.examples[target, norm] = found.images[row]

    def table(self) -> pd.DataFrame:
        """A row an image, target and norm: the nearest over the classes of the target."""
        rows: list[dict[str, object]] = []
        for context in self.selection.contexts:
            for norm in self.selection.norms:
                for target, classes in context.targets.items():
                    label = min(classes, key=lambda j: self.smallest[context.index, j, norm])
                    row = {"predicted": context.predicted, "target": target, "target_class": label, "norm": str(norm)}
                    of_class = (context.index, label, norm)
                    found = {"distance": self.smallest[of_class]} | self.rates[of_class]
                    rows.append(self.selection.id_columns(self.config, context) | row | found)
        return pd.DataFrame(rows)

    def exact(self, table: pd.DataFrame) -> pd.DataFrame:
        """The L2 rows of the table with certificate, ``lower``, ``upper`` and exact distance, NaN where not known.

        `InputError` for a defense, or a network without a bound of its curvature.
        """
        if not isinstance(self.network.defense, Identity):
            raise InputError(f"attack.exact with {type(self.network.defense).__name__}: it knows no defense")
        rows = table[table.norm == str(Norm.L2)].reset_index(drop=True)
        if rows.empty:
            raise InputError(f"attack.exact with the norms {', '.join(map(str, self.selection.norms))}: it wants L2")
        index = {self.selection.id_columns(self.config, at)["id"]: at.index for at in self.selection.contexts}
        images = torch.stack([self.selection.image(index[name]) for name in rows.id]).flatten(1)
        net = TwoLayer.of(self.network.network)
        found = exact_distances(net, images, list(rows.predicted), list(rows.target_class))
        ends = {name: value.cpu().numpy() for name, value in vars(found).items()}
        known = rows.assign(**ends, exact=found.distance.cpu().numpy())
        check_order(known)
        return known

    def write(self, table: pd.DataFrame) -> None:
        """The table, and the first image with its adversary for each norm and target."""
        folder = artifacts.results_dir(self.config)
        artifacts.write_text(folder / "distances.csv", table.to_csv(index=False))
        first = self.selection.image(self.selection.contexts[0].index)
        shown = {"original": first.cpu().numpy()}
        for row in table[table.id == table.id[0]].itertuples():
            shown[f"{row.norm} {row.target}"] = self.examples[int(row.target_class), Norm(row.norm)].cpu().numpy()
        artifacts.write_atomically(folder / "examples.npz", lambda file: np.savez(file, allow_pickle=False, **shown))


def asked(config: DictConfig) -> DictConfig:
    """The configuration with the targets and norms of the attacks in the place of those of the scores."""
    own = {"targets": config.attack.targets, "norms": config.attack.norms}
    return OmegaConf.merge(config, own)  # type: ignore[return-value]


def attacked_of(config: DictConfig, network: Defended) -> Defended:
    """The classifier attacked: the same one whatever the cell's scores go back through."""
    bpda = not has_useful_gradient(network.defense) if config.attack.bpda == AUTO else config.attack.bpda
    substitute = build_backward(config.attack.backward, network.defense) if bpda else None
    return Defended(network.network, network.defense, bpda=bpda, backward=substitute)


def distances_key(config: DictConfig, network: Defended) -> dict[str, object]:
    """All that decides the distances of a cell, given images, target classes and norm."""
    strength, chance, _ = checked(config)
    return classifier_key(network, classifier_settings(config)) | {
        "strength": repr(strength),
        "chance": repr(chance) if random_transformation(network) else "",
        "seed": sampling_settings(config).seed,
        "device": device(config).type,
        "attack_version": ATTACK_VERSION,
    }


def cell_key(config: DictConfig, network: Defended) -> dict[str, object]:
    """All that decides the distances of a cell, given images, targets and norms."""
    settings = sampling_settings(config)
    classes = [settings.reference, settings.random_target, settings.seed]
    return distances_key(config, network) | {"stage": "attack", "settings": repr(classes)}


def checked(config: DictConfig) -> tuple[Strength, SuccessCriterion, int]:
    """The settings of the attack, checked: how hard to try, what counts behind chance, how many images at once."""
    require_bool("attack.exact", config.attack.exact)
    if config.attack.bpda not in (True, False, AUTO):
        raise InputError(f"attack.bpda is {config.attack.bpda!r}: it must be true, false or {AUTO}")
    hard = strength_of(config)
    for norm in parse_norms(config.attack.norms, "attack.norms"):
        check_method(hard, norm)
    return hard, chance_of(config), config.attack.images


def strength_of(config: DictConfig) -> Strength:
    """How hard to try. `InputError` says what would be valid."""
    return Strength(**{name: config.attack[name] for name in ("steps", "starts", "rounds", "method")})


def chance_of(config: DictConfig) -> SuccessCriterion:
    """When an image is adversarial for a random defense."""
    return SuccessCriterion(**{name: config.attack[name] for name in ("draws", "threshold")})


def _groups(contexts: list[ImageContext], together: int) -> Iterator[list[Pair]]:
    """The images and target classes, those of ``together`` prepared images at once: fixed, whatever was killed."""
    for _, group in groupby(contexts, key=lambda context: context.index // together):
        yield [(context, target) for context in group for target in context.classes]
