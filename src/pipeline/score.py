"""Stage score: CLEVER of every image of one cell."""

import platform
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from tqdm.auto import tqdm

from clever.errors import InputError
from clever.models import frozen
from clever.norms import Norm
from clever.orders import Order
from clever.score import Score, score_subject
from clever.settings import Settings
from clever.subjects import subjects
from pipeline import artifacts
from pipeline.accuracy import accuracy
from pipeline.app import launch
from pipeline.fingerprint import identity_of
from pipeline.networks import defended, device
from pipeline.prepared import Prepared
from pipeline.store import Store


def run(config: DictConfig) -> None:
    """Writes scores.csv (a row an image, target and norm), maxima.npy (the N_b maxima of each row) and run.json."""
    started = time.perf_counter()
    settings = settings_of(config)
    norms = [Norm.named(str(name)) for name in _listed(config.norms, "norms")]
    for norm in norms:
        settings.ball(norm)
    network = defended(config)
    prepared = Prepared.read()
    n_images = config.score.n_images
    if not isinstance(n_images, int) or not 1 <= n_images <= len(prepared.labels):
        raise InputError(f"score.n_images is {n_images!r}: {len(prepared.labels)} images are prepared")

    order: Order = instantiate(config.order)
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

        images = prepared.images(slice(0, n_images)).to(device(config))
        order.check(network, images[:1])
        labels = prepared.labels[:n_images].tolist()
        chosen = list(subjects(network, images, _listed(config.targets, "targets"), settings, labels))
        if not chosen:
            raise InputError(f"the network is wrong on all {n_images} images: there is nothing to score")
        share = accuracy(network, prepared)
        store = Store(
            artifacts.store(config),
            identity_of(network, order, _container(config, "model", "defense")),
            config.chunk_points,
            computed=computed,
            found=found,
        )
        per_class = len({settings.ball(norm) for norm in norms}) * settings.n_batches * settings.n_samples
        bar.reset(total=per_class * sum(len(subject.classes) for subject in chosen))
        for subject in chosen:
            of_image = score_subject(network, subject, settings, norms=norms, order=order, sampler=store)
            scores += of_image
            known = {
                "cell": config.cell,
                "network": config.model.name,
                "id": prepared.manifest.id[subject.index],
                "label": int(prepared.labels[subject.index]),
            }
            rows += [known | score.row() for score in of_image]

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
            "scored": len(chosen),
            "left_out_misclassified": n_images - len(chosen),
            "points_computed": cost["computed"],
            "points_from_store": cost["found"],
            "seconds": round(time.perf_counter() - started, 1),
            "device": str(device(config)),
            "versions": {
                "clever-robustness": version("clever-robustness"),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        },
    )
    print(f"{config.cell}: {len(chosen)} of {n_images} images scored, the others misclassified; {folder}/scores.csv")


def settings_of(config: DictConfig) -> Settings:
    """The library's settings, checked."""
    try:
        return Settings(**OmegaConf.to_container(config.sampling, resolve=True))  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"sampling: {error}") from error


def _container(config: DictConfig, *names: str) -> dict[str, object]:
    return {name: OmegaConf.to_container(config[name], resolve=True) for name in names}


def _listed(values: object, name: str) -> list[str | int]:
    """A list from the configuration, or the one value given in its place."""
    listed: list[Any] = list(values) if isinstance(values, ListConfig) else [values]
    if not listed or any(isinstance(value, bool) or not isinstance(value, str | int) for value in listed):
        raise InputError(f"{name} is {values!r}: it must be a list of names, as in {name}=[...]")
    return listed


def main() -> None:
    """The command line."""
    launch("score")


if __name__ == "__main__":
    main()
