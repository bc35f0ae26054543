"""The context of an image for scoring: predicted class, target classes, margins and gradient norms."""

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
    """The predicted and target classes of an image, and the margin g and its gradient norms at the image.

    ``index``: its index among the images given. ``name``: `image_sha256`. ``dimension``: the number of its values.
    ``margins``: g(x0) for each target class. ``gradients``: ``||grad g(x0)||_q`` for each target class in each norm q,
    in logits per unit of [0,1] pixel space. ``already_changed``: at the image itself, the scored classifier already
    predicts a class other than ``predicted``, the prediction of the undefended classifier (`Reference`). ``label``: the
    true class, or None if not given. Contexts do not hold the image, so that those of 50,000 images fit in memory.
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
        """All target classes without duplicates, sorted."""
        return sorted(self.margins)


def reference_classifier(network: nn.Module, settings: Settings) -> nn.Module:
    """The classifier that determines the predicted class, the targets and the margin (`Reference`)."""
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
    """The context of each image, computed lazily, without misclassified images (`image_context`)."""
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
    """The context of one image, for the classifier chosen by ``settings.reference``; None if it is misclassified.

    The image passes through the network alone, so that no digit depends on the other images. `InputError` for values
    outside [0,1] and unknown targets, `NotFinite` if the network returns NaN or infinity.
    """
    if image.dtype not in (torch.float32, torch.float64) or not (float(image.amin()) >= 0 and float(image.amax()) <= 1):
        raise InputError(
            f"image {index} has {image.dtype} values from {image.amin():g} to {image.amax():g}: it must hold "
            "float32 or float64 numbers in [0,1], with normalisation inside the network (clever.Normalize); for a "
            "faster network use clever.Compute(precision='bfloat16')"
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
    margins = {chosen: float(row[predicted] - row[chosen]) for labels in classes.values() for chosen in labels}
    norms = gradient_norms(classifier, image.unsqueeze(0), predicted, list(margins), tuple(Norm))[0].tolist()
    if not all(math.isfinite(norm) for target_norms in norms for norm in target_norms):
        raise NotFinite(f"the derivative of the network is NaN or infinite at image {index} itself")
    gradients = {chosen: dict(zip(Norm, values, strict=True)) for chosen, values in zip(margins, norms, strict=True)}
    changed = (
        classifier is not network and int(finite_logits(network, image.unsqueeze(0), index)[0].argmax()) != predicted
    )
    return ImageContext(index, name, image.numel(), predicted, classes, margins, gradients, changed, label)


def image_sha256(image: Float[Tensor, "channel height width"]) -> str:
    """The sha256 of an image's values in double precision; it seeds the image's random points."""
    return hashlib.sha256(image.double().cpu().contiguous().numpy().tobytes()).hexdigest()
