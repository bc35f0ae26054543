"""An image made ready for scoring: its predicted class, its target classes, its margins."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.bpda import Defended
from clever.errors import InputError
from clever.margin import gradient_norms
from clever.models import logits_of
from clever.norms import Norm
from clever.settings import Reference, Settings
from clever.targets import check_targets, target_classes


@dataclass(frozen=True)
class Subject:
    """An image that is to be scored, the classes its targets stand for, and the margin g to each at the image itself.

    ``index``: its place among the images given. ``name``: `image_name`. ``gradients``: for each target class
    ``||grad g(x0)||_q`` in each norm q, in logits per unit of [0,1] pixel space.
    """

    image: Float[Tensor, "channel height width"]
    index: int
    name: str
    predicted: int
    targets: dict[str, list[int]]
    margins: dict[int, float]
    gradients: dict[int, dict[Norm, float]]

    @property
    def classes(self) -> list[int]:
        """Every target class, each once."""
        return sorted(self.margins)


def judge(network: nn.Module, settings: Settings) -> nn.Module:
    """The classifier that says what the predicted class, the targets and the margin are."""
    if settings.reference is Reference.UNDEFENDED and isinstance(network, Defended):
        return network.network
    return network


def subjects(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    targets: Sequence[str | int],
    settings: Settings,
    labels: Sequence[int] | None = None,
) -> Iterator[Subject]:
    """The images as subjects, under the classifier that ``settings.reference`` names, each checked as it comes.

    With ``labels``, the true classes, an image that the classifier takes for another class is left out.
    """
    if not images.is_floating_point() or float(images.amin()) < 0 or float(images.amax()) > 1:
        raise InputError(
            f"images of {images.dtype} from {images.amin():g} to {images.amax():g}: they must be floating point "
            "numbers in [0,1], with normalisation inside the network (clever.Normalize)"
        )
    if labels is not None and len(labels) != len(images):
        raise InputError(f"{len(labels)} labels for {len(images)} images: there must be one for each")
    classifier = judge(network, settings)
    logits = torch.cat([logits_of(classifier, part) for part in images.split(64)])
    check_targets(targets, logits.shape[1])
    for index, (image, row) in enumerate(zip(images, logits, strict=True)):
        predicted = int(row.argmax())
        if labels is not None and predicted != int(labels[index]):
            continue
        name = image_name(image)
        classes = {
            str(target): target_classes(target, row, rule=settings.random_target, seed=settings.seed, image=name)
            for target in targets
        }
        margins = {label: float(row[predicted] - row[label]) for found in classes.values() for label in found}
        norms = gradient_norms(classifier, image.unsqueeze(0), predicted, list(margins), tuple(Norm))[0].tolist()
        gradients = {label: dict(zip(Norm, values, strict=True)) for label, values in zip(margins, norms, strict=True)}
        yield Subject(image, index, name, predicted, classes, margins, gradients)


def image_name(image: Float[Tensor, "channel height width"]) -> str:
    """The sha256 of an image's values in double precision: what its random numbers depend on."""
    return hashlib.sha256(image.double().cpu().contiguous().numpy().tobytes()).hexdigest()
