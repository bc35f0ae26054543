"""The classifier, images and target classes of a cell, shared by scores and attacks."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm.auto import tqdm

from clever._internal.choice import Choice
from clever.classifier.compute import Compute
from clever.classifier.image_context import ImageContext, image_context
from clever.classifier.wrappers import finite_logits, frozen
from clever.defenses.bpda import Defended
from clever.errors import InputError, NotFinite
from clever.norms import Norm
from clever.settings import Settings
from pipeline.shared.app.listed import parse_list, parse_norms
from pipeline.shared.data.fits import check_fits
from pipeline.shared.data.prepared import Prepared
from pipeline.shared.data.shard import Shard
from pipeline.shared.models.classifier import device, load_classifier
from pipeline.shared.text.recorded import to_record

PROGRESS_BAR_FROM = 1000
"""Number of images from which classification shows a progress bar."""


class OnNaN(Choice):
    """How to treat an image for which the network returns NaN or infinity.

    ``stop``: the run ends with an error that names image and batch. ``leave_out``: the image is excluded, reported on
    stderr, and listed in run.json with the reason. No score is ever computed from the remaining points.
    """

    STOP = "stop"
    LEAVE_OUT = "leave_out"


@dataclass
class Selection:
    """The images of one job: its shard of the first ``n_images`` prepared images.

    ``rows``: their rows among the prepared images. ``contexts``: of the correctly classified images. ``misclassified``:
    ids of the others. ``not_finite``: the reason for each image excluded by `OnNaN`, by id. Images stay on disk.
    """

    network: Defended
    settings: Settings
    norms: list[Norm]
    prepared: Prepared
    shard: Shard
    on_nan: OnNaN
    rows: NDArray[np.int64]
    device: torch.device
    contexts: list[ImageContext] = field(default_factory=list)
    misclassified: list[str] = field(default_factory=list)
    not_finite: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: DictConfig, together: int = 1) -> "Selection":
        """Build the selection, with all checks that are possible before long computations (`InputError`).

        ``together``: number of consecutive images that go to the same shard.
        """
        settings, norms, prepared = check_selection(config)
        shard, on_nan = Shard(config.shard, config.shards), OnNaN.parse(str(config.score.nan))
        rows = shard.rows(config.score.n_images, together)
        selection = cls(load_classifier(config), settings, norms, prepared, shard, on_nan, rows, device(config))
        check_fits(selection.network, prepared)
        selection._classify(parse_list(config.targets, "targets"))
        if not selection.contexts and shard.count == 1:
            raise InputError(
                f"the network misclassifies {len(selection.misclassified)} of {len(rows)} images and returns NaN or "
                f"infinity for {len(selection.not_finite)}: there is nothing to score"
            )
        return selection

    def _classify(self, targets: Sequence[str | int]) -> None:
        labels = self.prepared.labels
        with frozen(self.network), Compute().arithmetic():
            for row in tqdm(
                self.rows.tolist(), desc="classify", unit="image", disable=len(self.rows) < PROGRESS_BAR_FROM
            ):
                with self.skip_not_finite(row):
                    image, label = self.image(row), int(labels[row])
                    finite_logits(
                        self.network, image.unsqueeze(0), row
                    )  # sampling.reference=undefended evaluates only f(x) below
                    context = image_context(self.network, image, row, targets, self.settings, label)
                    if context:
                        self.contexts.append(context)
                    else:
                        self.misclassified.append(str(self.prepared.manifest.id[row]))

    @contextmanager
    def skip_not_finite(self, row: int) -> Iterator[None]:
        """Context in which NaN or infinity excludes the image, if `OnNaN` says so."""
        try:
            yield
        except NotFinite as error:
            if self.on_nan is OnNaN.STOP:
                raise NotFinite(f"{error}; score.nan=leave_out continues without this image") from error
            name = str(self.prepared.manifest.id[row])
            self.not_finite[name] = str(error)
            print(f"{name} is excluded: {error}", file=sys.stderr)

    def image(self, row: int) -> Float[Tensor, "channel height width"]:
        """A prepared image, on the device of this run."""
        return self.prepared.images([row])[0].to(self.device)

    def id_columns(self, config: DictConfig, context: ImageContext) -> dict[str, object]:
        """The columns that identify a row of any table."""
        manifest = self.prepared.manifest
        return {
            "cell": config.cell,
            "network": config.model.name,
            "id": manifest.id[context.index],
            "label": int(self.prepared.labels[context.index]),
        }


def check_selection(config: DictConfig) -> tuple[Settings, list[Norm], Prepared]:
    """Check what needs no network: settings, norms, targets, shard and number of images; `InputError`."""
    settings, prepared, n_images = sampling_settings(config), Prepared.read(config), config.score.n_images
    norms = parse_norms(config.norms, "norms")
    for norm in norms:
        settings.ball(norm)  # raises for a norm without a radius
    if isinstance(n_images, bool) or not isinstance(n_images, int) or not 1 <= n_images <= len(prepared.labels):
        raise InputError(f"score.n_images is {n_images!r}: {len(prepared.labels)} images are prepared")
    parse_list(config.targets, "targets")
    Shard(config.shard, config.shards)
    OnNaN.parse(str(config.score.nan))
    return settings, norms, prepared


def sampling_settings(config: DictConfig) -> Settings:
    """The validated settings of the library."""
    try:
        return Settings(**OmegaConf.to_container(config.sampling, resolve=True))  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"sampling: {error}") from error


def classifier_settings(config: DictConfig) -> dict[str, object]:
    """The settings that define the network and its defense, without their names."""
    return {"network": to_record(config.model.network), "defense": to_record(config.defense)}
