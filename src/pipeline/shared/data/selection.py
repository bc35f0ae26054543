"""What a cell is about: its classifier, and the images and target classes that scores and attacks share."""

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
from pipeline.shared.app.listed import listed, norms_of
from pipeline.shared.data.fits import check_fits
from pipeline.shared.data.prepared import Prepared
from pipeline.shared.data.shard import Shard
from pipeline.shared.models.classifier import defended, device
from pipeline.shared.text.recorded import recorded

MANY = 1000
"""Images from which on the progress of their classification is shown."""


class OnNaN(Choice):
    """What becomes of an image for which the network gives NaN or infinity.

    ``stop``: the run ends with an error that names image and batch. ``leave_out``: the image is left out, told, named
    in run.json with the reason and counted. Never is a number made from what is left of the points.
    """

    STOP = "stop"
    LEAVE_OUT = "leave_out"


@dataclass
class Selection:
    """The images of one job: of the first ``n_images`` prepared, those of its shard, as far as they can be scored.

    ``rows``: their places among the prepared ones. ``contexts``: those that the network takes for their true class;
    ``misclassified``: the ids of those that it does not. ``not_finite``: why others were left out, by id (`OnNaN`).
    The images themselves stay on disk.
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
    def of(cls, config: DictConfig, together: int = 1) -> "Selection":
        """Everything checked that can be checked before long work; `InputError` says what would be valid.

        ``together``: how many images in a row go to the same shard.
        """
        settings, norms, prepared = check_selection(config)
        shard, on_nan = Shard(config.shard, config.shards), OnNaN.parse(str(config.score.nan))
        rows = shard.rows(config.score.n_images, together)
        selection = cls(defended(config), settings, norms, prepared, shard, on_nan, rows, device(config))
        check_fits(selection.network, prepared)
        selection._classify(listed(config.targets, "targets"))
        if not selection.contexts and shard.count == 1:
            raise InputError(
                f"the network is wrong on {len(selection.misclassified)} of {len(rows)} images and gives NaN or "
                f"infinity for {len(selection.not_finite)}: there is nothing to score"
            )
        return selection

    def _classify(self, targets: Sequence[str | int]) -> None:
        labels = self.prepared.labels
        with frozen(self.network), Compute().arithmetic():
            for row in tqdm(self.rows.tolist(), desc="classify", unit="image", disable=len(self.rows) < MANY):
                with self.finite(row):
                    image, label = self.image(row), int(labels[row])
                    finite_logits(self.network, image.unsqueeze(0), row)  # it need not be what names the classes
                    context = image_context(self.network, image, row, targets, self.settings, label)
                    if context:
                        self.contexts.append(context)
                    else:
                        self.misclassified.append(str(self.prepared.manifest.id[row]))

    @contextmanager
    def finite(self, row: int) -> Iterator[None]:
        """Within it, NaN or infinity leaves the image out where the policy says so."""
        try:
            yield
        except NotFinite as error:
            if self.on_nan is OnNaN.STOP:
                raise NotFinite(f"{error}; score.nan=leave_out goes on without this image") from error
            name = str(self.prepared.manifest.id[row])
            self.not_finite[name] = str(error)
            print(f"{name} is left out: {error}", file=sys.stderr)

    def image(self, row: int) -> Float[Tensor, "channel height width"]:
        """A prepared image, on the device of the run."""
        return self.prepared.images([row])[0].to(self.device)

    def known(self, config: DictConfig, context: ImageContext) -> dict[str, object]:
        """The columns by which a row of any table says what it is about."""
        manifest = self.prepared.manifest
        return {
            "cell": config.cell,
            "network": config.model.name,
            "id": manifest.id[context.index],
            "label": int(self.prepared.labels[context.index]),
        }


def check_selection(config: DictConfig) -> tuple[Settings, list[Norm], Prepared]:
    """What can be checked without the network: settings, norms, targets, shard, how many images; `InputError`."""
    settings, prepared, n_images = settings_of(config), Prepared.read(config), config.score.n_images
    norms = norms_of(config.norms, "norms")
    for norm in norms:
        settings.ball(norm)  # refuses a norm without radius
    if isinstance(n_images, bool) or not isinstance(n_images, int) or not 1 <= n_images <= len(prepared.labels):
        raise InputError(f"score.n_images is {n_images!r}: {len(prepared.labels)} images are prepared")
    listed(config.targets, "targets")
    Shard(config.shard, config.shards)
    OnNaN.parse(str(config.score.nan))
    return settings, norms, prepared


def settings_of(config: DictConfig) -> Settings:
    """The library's settings, checked."""
    try:
        return Settings(**OmegaConf.to_container(config.sampling, resolve=True))  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"sampling: {error}") from error


def classifier_settings(config: DictConfig) -> dict[str, object]:
    """What the network and its defense are made from, whatever they are called."""
    return {"network": recorded(config.model.network), "defense": recorded(config.defense)}
