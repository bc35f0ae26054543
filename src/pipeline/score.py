"""Stage score: CLEVER of every image of one cell."""

import time

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm.auto import tqdm

from clever.bpda import Defended
from clever.compute import Compute, Precision, deviation
from clever.errors import InputError
from clever.maxima import Site
from clever.models import frozen
from clever.orders import Order
from clever.score import Score, score_subject
from pipeline import artifacts
from pipeline.app import launch
from pipeline.classifiers.accuracy import accuracy
from pipeline.classifiers.fingerprint import identity_of, of_order, versions
from pipeline.classifiers.networks import device
from pipeline.classifiers.selection import Selection, described
from pipeline.progress import Progress, about_cell
from pipeline.store import Store

PROBES = 8
"""Points at which a lower precision is compared with the full one."""


def run(config: DictConfig) -> None:
    """Writes scores.csv (a row an image, target and norm), maxima.npy and run.json.

    A row of maxima.npy are the N_b maxima of a score, NaN at the end where a tolerance made do with fewer.
    """
    started = time.perf_counter()
    artifacts.writable(artifacts.results_dir(config), artifacts.store(config))
    order: Order = instantiate(config.order)
    compute = Compute(**config.compute)
    selection = Selection.of(config)
    network, settings, norms = selection.network, selection.settings, selection.norms
    if not len(selection.rows):
        print(f"{config.cell}: more shards than images, this one has nothing to do")
        return
    sampled = sampled_of(config, network)
    decided = decided_by(config, sampled)
    scores: list[Score] = []
    rows: list[dict[str, object]] = []
    cost = {"computed": 0, "found": 0}
    per_class = len({settings.ball(norm) for norm in norms}) * settings.n_batches * settings.n_samples
    per_image = per_class * max((len(subject.classes) for subject in selection.subjects), default=0)
    reports = about_cell(config, "score", decided)
    left = per_class * sum(len(subject.classes) for subject in selection.subjects)
    with (
        frozen(network),
        tqdm(total=left, unit="point", unit_scale=True, desc=str(config.cell), smoothing=0) as bar,
        Progress(config, reports, selection.shard, 1, per_image) as progress,
    ):

        def computed(points: int) -> None:
            cost["computed"] += points
            bar.update(points)
            progress.computed(points)

        def found(points: int) -> None:
            cost["found"] += points
            bar.initial += points  # what was only read says nothing of the time that is left
            bar.update(points)

        order.check(sampled, selection.image(0).unsqueeze(0))
        with Compute().arithmetic():
            share = accuracy(network, selection.prepared, selection.shard.rows(len(selection.prepared.labels)))
        changed = _changed_by(compute, sampled, network, selection)
        store = Store(artifacts.store(config), decided, config.chunk_points, computed=computed, found=found)
        for subject in selection.subjects:
            image = selection.image(subject.index)
            with selection.finite(subject.index), compute.arithmetic():
                of_image = score_subject(sampled, image, subject, settings, norms=norms, order=order, sampler=store)
                scores += of_image
                rows += [selection.known(config, subject) | score.row() for score in of_image]
            left -= per_class * len(subject.classes)
            bar.total = bar.n + left  # a tolerance may have saved some
            progress.reached(subject.index)
    if not scores and selection.shard.count == 1:
        raise InputError(f"the network gives NaN or infinity for all of {len(selection.subjects)} images")

    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "scores.csv", pd.DataFrame(rows).to_csv(index=False))
    maxima = np.full((len(scores), max((score.n_batches for score in scores), default=0)), np.nan, np.float32)
    for row, score in zip(maxima, scores, strict=True):
        row[: score.n_batches] = score.maxima
    artifacts.write_atomically(folder / "maxima.npy", lambda file: np.save(file, maxima))
    artifacts.write_json(
        folder / "run.json",
        {
            "cell": config.cell,
            "network": config.model.name,
            "order": order.name,
            "defense": OmegaConf.to_container(config.defense, resolve=True),
            "bpda": config.bpda,
            "accuracy": share,
            "scored": len({score.image for score in scores}),
            "left_out_misclassified": selection.misclassified,
            "left_out_not_finite": len(selection.not_finite),
            "not_finite": selection.not_finite,
            "compute": {name: str(choice) for name, choice in vars(compute).items()} | changed,
            "points_computed": cost["computed"],
            "points_from_store": cost["found"],
            "seconds": round(time.perf_counter() - started, 1),
            "device": str(device(config)),
            "versions": versions(),
        },
    )
    left_out = f", {len(selection.not_finite)} left out for NaN or infinity" if selection.not_finite else ""
    scored = len({score.image for score in scores})
    print(f"{config.cell}: {scored} of {len(selection.rows)} images scored{left_out}; {folder}/scores.csv")


def sampled_of(config: DictConfig, network: Defended) -> Defended:
    """The classifier at the sampled points: these alone go the faster way, all else is the network's own."""
    compute = Compute(**config.compute)
    return Defended(compute.applied(network.network), network.defense, bpda=config.bpda)


def decided_by(config: DictConfig, sampled: Defended) -> dict[str, object]:
    """All that decides the maxima of a cell, given image, ball, target classes and batch."""
    return identity_of(sampled, described(config)) | of_order(instantiate(config.order))


def _changed_by(
    compute: Compute, sampled: Defended, network: Defended, selection: Selection
) -> dict[str, dict[str, float]]:
    """What a lower precision does to gradient norms: measured at a few points, told, and kept with the scores."""
    if compute.precision is Precision.FLOAT32 or not selection.subjects:
        return {}
    subject, settings = selection.subjects[0], selection.settings
    image, ball = selection.image(subject.index), settings.ball(selection.norms[0])
    site = Site(image, subject.name, ball, PROBES, settings.seed, settings.clip)
    points, _ = next(site.points(range(1), PROBES))
    share = deviation(compute, sampled, network, points, subject.predicted, subject.classes).flatten(0, 1)
    share = share[share.isfinite().all(1)]  # a gradient of zero has no share
    if not len(share):
        return {}
    told = {"median": float(share.median()), "largest": float(share.max())}
    print(
        f"{compute.precision} changes gradient norms by {told['median']:.2%} (median), {told['largest']:.2%} at most, "
        f"at {PROBES} points around the first image: compare that with the columns low and high of the scores"
    )
    return {"gradient_norms_changed_by": told}


def main() -> None:
    """The command line."""
    launch("score")


if __name__ == "__main__":
    main()
