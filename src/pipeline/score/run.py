"""Stage score: CLEVER of every image of one cell."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from clever import ascent, record
from clever.bpda import Defended
from clever.compute import Compute
from clever.errors import InputError
from clever.models import frozen
from clever.orders import Order
from clever.score import Score, score_subject
from clever.subjects import Subject
from pipeline.score.precision import changed_by
from pipeline.score.store import Store
from pipeline.shared import artifacts
from pipeline.shared.accuracy import accuracy
from pipeline.shared.classifier import about_network, device
from pipeline.shared.fingerprint import identity_of, of_order, versions
from pipeline.shared.listed import listed
from pipeline.shared.machine import machine
from pipeline.shared.progress import Progress, about_cell
from pipeline.shared.selection import Selection, described, settings_of

EXAMPLES = 5
"""Scored images that are kept as they are and behind the defense, for a figure."""


def run(config: DictConfig) -> None:
    """Writes scores.csv (a row an image, target and norm), scores.json, maxima.npy, examples.npz and run.json.

    A row of maxima.npy are the N_b maxima of a score, NaN at the end where a tolerance made do with fewer.
    """
    started = time.perf_counter()
    artifacts.writable(artifacts.results_dir(config), artifacts.store(config))
    job = Job.of(config)
    with frozen(job.selection.network), job.progress() as progress:
        if not len(job.selection.rows):
            progress.say(f"{config.cell}: more shards than images, this one has nothing to do")
            return
        for check in (job.order.check, partial(ascent.check, job.order)):
            check(job.sampled, job.selection.image(0).unsqueeze(0), job.selection.settings)
        share = job.accuracy()
        changed = changed_by(job.compute, job.sampled, job.selection, progress)
        scores = job.scores(progress)
        if not scores and job.selection.shard.count == 1:
            raise InputError(f"the network gives NaN or infinity for all of {len(job.selection.subjects)} images")
        job.write(scores)
        about = job.about(scores) | {
            "accuracy": share,
            "compute": {name: str(choice) for name, choice in vars(job.compute).items()} | changed,
            "points_computed": progress.computed,
            "points_from_store": progress.from_store,
            "seconds": round(time.perf_counter() - started, 1),
            "of_all_runs": progress.of_all_runs(),
            "machine": machine(job.selection.device),
        }
        artifacts.write_json(artifacts.results_dir(config) / "run.json", about)
        _tell_of_masking(config, scores, progress)
        left_out = {
            "misclassified": job.selection.misclassified,
            "with NaN or infinity": list(job.selection.not_finite),
        }
        note = "".join(f", {len(ids)} {why} ({_few(ids)})" for why, ids in left_out.items() if ids)
        done = f"{len({score.image for _, score in scores})} of {len(job.selection.rows)} images scored"
        progress.say(f"{config.cell}: {done}{note}; {artifacts.results_dir(config)}/scores.csv")


def _few(ids: list[str]) -> str:
    return ", ".join([*ids[:3], *["..."] * (len(ids) > 3)])


def _tell_of_masking(config: DictConfig, scores: list[tuple[Subject, Score]], progress: Progress) -> None:
    if masked := sum(score.vanishing for _, score in scores):
        advice = "" if config.bpda else "; bpda=true has others"
        progress.say(f"{config.cell}: {masked} of {len(scores)} scores say nothing, their gradients vanish{advice}")


@dataclass
class Job:
    """One cell, or one shard of it, with everything checked that can be before long work."""

    config: DictConfig
    selection: Selection
    order: Order
    compute: Compute
    sampled: Defended

    @classmethod
    def of(cls, config: DictConfig) -> "Job":
        """`InputError` says what would be valid."""
        order, compute, selection = instantiate(config.order), Compute(**config.compute), Selection.of(config)
        return cls(config, selection, order, compute, sampled_of(config, selection.network))

    @property
    def _per_class(self) -> int:
        """The most points that a target class of an image takes."""
        settings = self.selection.settings
        return len({settings.ball(norm) for norm in self.selection.norms}) * settings.n_batches * settings.n_samples

    def progress(self) -> Progress:
        """What counts the points of this job, each once a target class."""
        classes = [len(subject.classes) for subject in self.selection.subjects]
        return Progress(
            self.config,
            about_cell(self.config, told_by(self.config, self.sampled)),
            rows=self.selection.rows,
            left=self._per_class * sum(classes),
            unit="point",
        )

    def accuracy(self) -> float:
        """Of the cell's classifier, on this shard of all prepared images."""
        selection = self.selection
        with Compute().arithmetic():
            rows = selection.shard.rows(len(selection.prepared.labels))
            return accuracy(selection.network, selection.prepared, rows)

    def scores(self, progress: Progress) -> list[tuple[Subject, Score]]:
        """Those of every image, sampled or from the store; an image with NaN or infinity has none (`OnNaN`)."""
        selection, found = self.selection, []
        store = Store(
            artifacts.store(self.config),
            decided_by(self.config, self.sampled),
            self.config.chunk_points,
            compute=progress.compute,
            find=progress.find,
            spend=progress.spend,
        )
        left = progress.left
        for subject in selection.subjects:
            with selection.finite(subject.index), self.compute.arithmetic():
                of_image = score_subject(
                    self.sampled,
                    selection.image(subject.index),
                    subject,
                    selection.settings,
                    norms=selection.norms,
                    order=self.order,
                    sampler=store,
                )
                found += [(subject, score) for score in of_image]
            left -= self._per_class * len(subject.classes)
            progress.reached(subject.index, left)
        return found

    def write(self, scores: list[tuple[Subject, Score]]) -> None:
        """The table, the maxima that it rests on, and the first images before and behind the defense."""
        folder, selection = artifacts.results_dir(self.config), self.selection
        rows = [selection.known(self.config, subject) | score.row() for subject, score in scores]
        artifacts.write_text(folder / "scores.csv", pd.DataFrame(rows).to_csv(index=False))
        most = max((score.n_batches for _, score in scores), default=0)
        maxima = np.full((len(scores), most), np.nan, np.float32)
        for row, (_, score) in zip(maxima, scores, strict=True):
            row[: score.n_batches] = score.maxima
        artifacts.write_atomically(folder / "maxima.npy", lambda file: np.save(file, maxima))
        named = [self._told_of(subject) | record.of_score(score) for subject, score in scores]
        artifacts.write_json(folder / "scores.json", record.document(named, self._run(len(selection.subjects))))
        first = [subject.index for subject in selection.subjects[:EXAMPLES]]
        images = selection.prepared.images(first).to(selection.device)
        examples = {
            "id": selection.prepared.manifest.id[first].to_numpy(str),
            "class_name": selection.prepared.manifest.class_name[first].astype(str).to_numpy(str),
            "original": images.cpu().numpy(),
            "defended": selection.network.defense(images).cpu().numpy(),
        }
        artifacts.write_atomically(
            folder / "examples.npz", lambda file: np.savez_compressed(file, allow_pickle=False, **examples)
        )

    def _told_of(self, subject: Subject) -> dict[str, object]:
        """What the image is called, beside what `clever.record` says of its score."""
        return {"name": self.selection.known(self.config, subject)["id"]}

    def _run(self, count: int) -> dict[str, object]:
        """How the scores came about, as `clever.record` describes it."""
        selection = self.selection
        example = selection.image(0).unsqueeze(0)
        targets = listed(self.config.targets, "targets")
        run = record.run_of(self.sampled, example, selection.settings, targets, selection.norms, self.order)
        compute = {name: str(choice) for name, choice in vars(self.compute).items()}
        return run | {
            "images": {"count": count, "shape": list(example.shape[1:])},
            "cell": self.config.cell,
            "network": {**run["network"], "name": self.config.model.name},  # type: ignore[dict-item]
            "compute": compute,
        }

    def about(self, scores: list[tuple[Subject, Score]]) -> dict[str, object]:
        """What was run."""
        config, selection = self.config, self.selection
        return {
            "cell": config.cell,
            "network": config.model.name,
            "weights": named_alone(about_network(config)),
            "order": self.order.name,
            "order_settings": repr(self.order),
            "defense": OmegaConf.to_container(config.defense, resolve=True),
            "bpda": config.bpda,
            "backward": str(selection.network.backward or "identity"),
            "scored": len({score.image for _, score in scores}),
            "left_out_misclassified": len(selection.misclassified),
            "left_out_not_finite": len(selection.not_finite),
            "misclassified": selection.misclassified,
            "not_finite": selection.not_finite,
            "sampling": OmegaConf.to_container(config.sampling, resolve=True),
            "device": str(device(config)),
            "versions": versions(),
        }


def named_alone(network: dict[str, Any]) -> dict[str, Any]:
    """What the stage model told of a network, a file of weights without the folder that it has on this machine."""
    weights = network["weights"]
    if not isinstance(weights.get("path"), str):
        return network
    return network | {"weights": weights | {"path": PurePath(weights["path"]).name}}


def sampled_of(config: DictConfig, network: Defended) -> Defended:
    """The classifier at the sampled points: these alone go the faster way, all else is the network's own."""
    compute = Compute(**config.compute)
    return Defended(compute.applied(network.network), network.defense, bpda=config.bpda, backward=network.backward)


def decided_by(config: DictConfig, sampled: Defended) -> dict[str, object]:
    """All that decides the maxima of a cell, given image, ball, target classes and batch."""
    return identity_of(sampled, described(config)) | of_order(instantiate(config.order))


def told_by(config: DictConfig, sampled: Defended) -> dict[str, object]:
    """All that decides the scores of a cell, given images, targets and norms."""
    return decided_by(config, sampled) | {"stage": "score", "settings": repr(settings_of(config))}
