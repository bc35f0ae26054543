"""Stage score: computes CLEVER scores for every image of one cell."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from clever.bounds.first_order import Order
from clever.classifier.compute import Compute
from clever.classifier.image_context import ImageContext
from clever.classifier.wrappers import frozen
from clever.defenses.bpda import Defended
from clever.errors import InputError
from clever.results import record
from clever.results.score import Score
from clever.scoring.engine import check_order, points_per_class, score_images, vanishing_message
from pipeline.score.precision import precision_effect
from pipeline.score.store import Store
from pipeline.shared.app import artifacts
from pipeline.shared.app.listed import parse_list
from pipeline.shared.data.accuracy import accuracy
from pipeline.shared.data.selection import Selection, classifier_settings, sampling_settings
from pipeline.shared.models.classifier import device, read_network_record
from pipeline.shared.store.fingerprint import classifier_key, order_key, versions
from pipeline.shared.store.progress import Progress, progress_dir
from pipeline.shared.text.machine import machine
from pipeline.shared.text.recorded import to_record

EXAMPLES = 5
"""Number of scored images saved before and after the defense, for a figure."""


def run(config: DictConfig) -> None:
    """Writes scores.csv (one row per image, target and norm), scores.json, maxima.npy, examples.npz and run.json.

    Each row of maxima.npy holds the N_b batch maxima of one score.
    """
    started = time.perf_counter()
    artifacts.check_writable(artifacts.results_dir(config), artifacts.store_dir(config))
    job = Job.of(config)
    with frozen(job.selection.network), job.progress() as progress:
        if not len(job.selection.rows):
            progress.print(f"{config.cell}: this shard is empty, as there are more shards than images")
            return
        check_order(job.sampled, job.selection.image(0).unsqueeze(0), job.selection.settings, job.order)
        accuracy_on_shard = job.accuracy()
        effect = precision_effect(job.compute, job.sampled, job.selection, progress)
        scores = job.scores(progress)
        if not scores and job.selection.shard.count == 1:
            raise InputError(f"the network outputs NaN or infinity for all {len(job.selection.contexts)} images")
        job.write(scores)
        about = job.about(scores) | {
            "accuracy": accuracy_on_shard,
            "compute": job.compute_names | effect,
            "points_computed": progress.computed,
            "points_from_store": progress.from_store,
            "seconds": round(time.perf_counter() - started, 1),
            "of_all_runs": progress.totals(),
            "machine": machine(job.selection.device),
        }
        artifacts.write_json(artifacts.results_dir(config) / "run.json", about)
        if message := vanishing_message([score for _, score in scores]):
            progress.print(
                f"{config.cell}: {message}" + ("" if config.bpda else "; bpda=true uses surrogate gradients")
            )
        left_out = {
            "misclassified": job.selection.misclassified,
            "with NaN or infinity": list(job.selection.not_finite),
        }
        note = "".join(f", {len(ids)} {why} ({_first_ids(ids)})" for why, ids in left_out.items() if ids)
        done = f"{len({score.image for _, score in scores})} of {len(job.selection.rows)} images scored"
        progress.print(f"{config.cell}: {done}{note}; {artifacts.results_dir(config)}/scores.csv")


def _first_ids(ids: list[str]) -> str:
    return ", ".join([*ids[:3], *["..."] * (len(ids) > 3)])


@dataclass
class Job:
    """One cell, or one shard of it, with all settings checked before the long computation."""

    config: DictConfig
    selection: Selection
    order: Order
    compute: Compute
    sampled: Defended

    @classmethod
    def of(cls, config: DictConfig) -> "Job":
        """Checks the settings; an `InputError` lists the valid values."""
        order, compute, selection = instantiate(config.order), Compute(**config.compute), Selection.from_config(config)
        return cls(config, selection, order, compute, sampled_classifier(config, selection.network))

    @property
    def compute_names(self) -> dict[str, str]:
        """Precision, memory layout and compilation of the sampled gradients, as text."""
        return {name: str(choice) for name, choice in vars(self.compute).items()}

    def progress(self) -> Progress:
        """A counter of this job's points; each point counts once per target class."""
        classes = [len(context.classes) for context in self.selection.contexts]
        per_class = points_per_class(self.selection.settings, self.selection.norms)
        return Progress(
            self.config,
            progress_dir(self.config, cell_key(self.config, self.sampled)),
            rows=self.selection.rows,
            left=per_class * sum(classes),
            unit="point",
        )

    def accuracy(self) -> float:
        """Accuracy of the cell's classifier on this shard of all prepared images."""
        selection = self.selection
        with Compute().arithmetic():
            rows = selection.shard.rows(len(selection.prepared.labels))
            return accuracy(selection.network, selection.prepared, rows)

    def scores(self, progress: Progress) -> list[tuple[ImageContext, Score]]:
        """The scores of every image, sampled or read from the store; images with NaN or infinity are left out."""
        selection = self.selection
        store = Store(
            artifacts.store_dir(self.config),
            maxima_key(self.config, self.sampled),
            self.config.chunk_points,
            compute=progress.add_computed,
            find=progress.add_from_store,
            spend=progress.add_sampling_time,
        )
        scored = score_images(
            self.sampled,
            selection.contexts,
            selection.image,
            selection.settings,
            norms=selection.norms,
            order=self.order,
            sampler=store,
            guard=self._guarded,
            finished=lambda context, left: progress.mark_finished(context.index, left),
        )
        return [(context, score) for context, scores in scored for score in scores]

    @contextmanager
    def _guarded(self, context: ImageContext) -> Iterator[None]:
        """Applies the job's arithmetic and leaves out an image with NaN or infinity (`OnNaN`)."""
        with self.selection.skip_not_finite(context.index), self.compute.arithmetic():
            yield

    def write(self, scores: list[tuple[ImageContext, Score]]) -> None:
        """Writes the scores, their batch maxima, and the first images before and after the defense."""
        folder, selection = artifacts.results_dir(self.config), self.selection
        rows = [selection.id_columns(self.config, context) | score.row() for context, score in scores]
        artifacts.write_text(folder / "scores.csv", pd.DataFrame(rows).to_csv(index=False))
        maxima = np.array([score.maxima for _, score in scores], np.float32).reshape(-1, selection.settings.n_batches)
        artifacts.write_atomically(folder / "maxima.npy", lambda file: np.save(file, maxima))
        records = [self._image_name(context) | record.score_fields(score) for context, score in scores]
        artifacts.write_json(folder / "scores.json", record.document(records, self._run()))
        first = [context.index for context in selection.contexts[:EXAMPLES]]
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

    def _image_name(self, context: ImageContext) -> dict[str, object]:
        """The image's name, which `clever.results.record` does not have."""
        return {"name": self.selection.id_columns(self.config, context)["id"]}

    def _run(self) -> dict[str, object]:
        """The settings of the run in the schema of `clever.results.record`."""
        selection = self.selection
        images = selection.image(0).expand(len(selection.contexts), -1, -1, -1)
        targets = parse_list(self.config.targets, "targets")
        run = record.run_record(self.sampled, images, selection.settings, targets, selection.norms, self.order)
        network = {**run["network"], "name": self.config.model.name}  # type: ignore[dict-item]
        return run | {"cell": self.config.cell, "network": network, "compute": self.compute_names}

    def about(self, scores: list[tuple[ImageContext, Score]]) -> dict[str, object]:
        """The settings and image counts of the run record."""
        config, selection = self.config, self.selection
        return {
            "cell": config.cell,
            "network": config.model.name,
            "weights": without_weights_folder(read_network_record(config)),
            "order": self.order.name,
            "order_settings": repr(self.order),
            "defense": to_record(config.defense),
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


def without_weights_folder(network: dict[str, Any]) -> dict[str, Any]:
    """The stage model's record of a network, with the path of its weights reduced to the file name."""
    weights = network["weights"]
    if not isinstance(weights.get("path"), str):
        return network
    return network | {"weights": weights | {"path": PurePath(weights["path"]).name}}


def sampled_classifier(config: DictConfig, network: Defended) -> Defended:
    """The classifier for the sampled points, the only place where ``config.compute`` applies."""
    compute = Compute(**config.compute)
    return Defended(compute.applied(network.network), network.defense, bpda=config.bpda, backward=network.backward)


def maxima_key(config: DictConfig, sampled: Defended) -> dict[str, object]:
    """Everything that determines the maxima of a cell, apart from image, ball, target classes and batch."""
    return classifier_key(sampled, classifier_settings(config)) | order_key(instantiate(config.order))


def cell_key(config: DictConfig, sampled: Defended) -> dict[str, object]:
    """Everything that determines the scores of a cell, apart from images, targets and norms."""
    return maxima_key(config, sampled) | {"stage": "score", "settings": repr(sampling_settings(config))}
