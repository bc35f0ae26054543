"""Stage score: CLEVER of every image of one cell."""

import time

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm.auto import tqdm

from clever.models import frozen
from clever.orders import Order
from clever.score import Score, score_subject
from pipeline import artifacts
from pipeline.accuracy import accuracy
from pipeline.app import launch
from pipeline.fingerprint import identity_of, of_order, versions
from pipeline.networks import device
from pipeline.selection import Selection, described
from pipeline.store import Store


def run(config: DictConfig) -> None:
    """Writes scores.csv (a row an image, target and norm), maxima.npy (the N_b maxima of each row) and run.json."""
    started = time.perf_counter()
    order: Order = instantiate(config.order)
    selection = Selection.of(config)
    network, settings, norms = selection.network, selection.settings, selection.norms
    scores: list[Score] = []
    rows: list[dict[str, object]] = []
    cost = {"computed": 0, "found": 0}
    with frozen(network), tqdm(unit="point", unit_scale=True, desc=str(config.cell), smoothing=0) as bar:

        def computed(points: int) -> None:
            cost["computed"] += points
            bar.update(points)

        def found(points: int) -> None:
            cost["found"] += points
            bar.initial += points  # what was only read says nothing of the time that is left
            bar.update(points)

        order.check(network, selection.subjects[0].image.unsqueeze(0))
        share = accuracy(network, selection.prepared)
        identity = identity_of(network, described(config)) | of_order(order)
        store = Store(artifacts.store(config), identity, config.chunk_points, computed=computed, found=found)
        per_class = len({settings.ball(norm) for norm in norms}) * settings.n_batches * settings.n_samples
        bar.reset(total=per_class * sum(len(subject.classes) for subject in selection.subjects))
        for subject in selection.subjects:
            of_image = score_subject(network, subject, settings, norms=norms, order=order, sampler=store)
            scores += of_image
            rows += [selection.known(config, subject) | score.row() for score in of_image]

    folder = artifacts.results_dir(config)
    artifacts.write_text(folder / "scores.csv", pd.DataFrame(rows).to_csv(index=False))
    maxima = np.stack([score.maxima for score in scores])
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
            "scored": len(selection.subjects),
            "left_out_misclassified": selection.n_images - len(selection.subjects),
            "points_computed": cost["computed"],
            "points_from_store": cost["found"],
            "seconds": round(time.perf_counter() - started, 1),
            "device": str(device(config)),
            "versions": versions(),
        },
    )
    print(f"{config.cell}: {len(selection.subjects)} of {selection.n_images} images scored; {folder}/scores.csv")


def main() -> None:
    """The command line."""
    launch("score")


if __name__ == "__main__":
    main()
