"""An image made ready for scoring: its predicted class, its target classes, its margins."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.classifier.margin import gradient_norms
from clever.classifier.wrappers import finite_logits
from clever.defenses.bpda import Defended
from clever.errors import InputError, NotFinite
from clever.norms import Norm
from clever.settings import Reference, Settings
from clever.targets import RandomTarget, check_targets, target_classes


@dataclass(frozen=True)
class ImageContext:
    """What is known of an image before it is scored: its classes, and the margin g to each at the image itself.

    ``index``: its place among the images given. ``name``: `image_sha256`. ``dimension``: of its numbers, as a point.
    ``gradients``: for each target class ``||grad g(x0)||_q`` in each norm q, in logits per unit of [0,1] pixel space.
    ``already_changed``: the classifier that is scored takes the image itself for another class than ``predicted``,
    which the undefended one (`Reference`) named. ``label``: its true class, where that was told. The image itself stays
    where it is: the contexts of 50,000 images are small.
    """

    index: int
    name: str
    dimension: int
    predicted: int
    targets: dict[str, list[int]]
    margins: dict[int, float]
    gradients: dict[int, dict[Norm, float]]
    already_changed: bool = False
    label: int | None = None

    @property
    def classes(self) -> list[int]:
        """Every target class, each once."""
        return sorted(self.margins)


def reference_classifier(network: nn.Module, settings: Settings) -> nn.Module:
    """The classifier that says what the predicted class, the targets and the margin are."""
    if settings.reference is Reference.UNDEFENDED and isinstance(network, Defended):
        return network.network
    return network


def image_contexts(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    targets: Sequence[str | int],
    settings: Settings,
    labels: Sequence[int] | None = None,
) -> Iterator[ImageContext]:
    """The context of each image, checked as it comes; without those images that `image_context` leaves out."""
    if labels is not None and len(labels) != len(images):
        raise InputError(f"{len(labels)} labels for {len(images)} images: there must be one for each")
    for index, image in enumerate(images):
        label = None if labels is None else int(labels[index])
        if context := image_context(network, image, index, targets, settings, label):
            yield context


def image_context(
    network: nn.Module,
    image: Float[Tensor, "channel height width"],
    index: int,
    targets: Sequence[str | int],
    settings: Settings,
    label: int | None = None,
) -> ImageContext | None:
    """The context of one image, under the classifier that ``settings.reference`` names.

    None where the classifier takes it for another class than its ``label``. It goes through the network alone, so that
    no digit depends on which other images there are. `InputError` for what is no image in [0,1] and unknown targets,
    `NotFinite` where the network gives NaN or infinity.
    """
    if image.dtype not in (torch.float32, torch.float64) or not (float(image.amin()) >= 0 and float(image.amax()) <= 1):
        raise InputError(
            f"image {index} is of {image.dtype}, from {image.amin():g} to {image.amax():g}: it must hold float32 or "
            "float64 numbers in [0,1], with normalisation inside the network (clever.Normalize); for a faster network "
            "there is clever.Compute(precision='bfloat16')"
        )
    classifier = reference_classifier(network, settings)
    row = finite_logits(classifier, image.unsqueeze(0), index)[0]
    check_targets(targets, len(row))
    predicted = int(row.argmax())
    if label is not None and predicted != label:
        return None
    name = image_sha256(image)
    rule = RandomTarget.parse(settings.random_target)
    classes = {
        str(target): target_classes(target, row, rule=rule, seed=settings.seed, image=name) for target in targets
    }
    margins = {chosen: float(row[predicted] - row[chosen]) for found in classes.values() for chosen in found}
    norms = gradient_norms(classifier, image.unsqueeze(0), predicted, list(margins), tuple(Norm))[0].tolist()
    if not all(math.isfinite(norm) for of_target in norms for norm in of_target):
        raise NotFinite(f"the derivative of the network is NaN or infinite at image {index} itself")
    gradients = {chosen: dict(zip(Norm, values, strict=True)) for chosen, values in zip(margins, norms, strict=True)}
    changed = (
        classifier is not network and int(finite_logits(network, image.unsqueeze(0), index)[0].argmax()) != predicted
    )
    return ImageContext(index, name, image.numel(), predicted, classes, margins, gradients, changed, label)


def image_sha256(image: Float[Tensor, "channel height width"]) -> str:
    """The sha256 of an image's values in double precision: what its random numbers depend on."""
    return hashlib.sha256(image.double().cpu().contiguous().numpy().tobytes()).hexdigest()
