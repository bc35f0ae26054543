"""An image made ready for scoring: its predicted class, its target classes, its margins."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.bpda import Defended
from clever.errors import InputError
from clever.models import logits_of
from clever.settings import Reference, Settings
from clever.targets import RandomTarget, check_targets, target_classes


@dataclass(frozen=True)
class Subject:
    """An image that is to be scored: the classes its targets stand for and the margin to each."""

    image: Float[Tensor, "channel height width"]
    name: str
    predicted: int
    targets: dict[str, list[int]]
    margins: dict[int, float]

    @property
    def classes(self) -> list[int]:
        """Every target class, each once."""
        return sorted(self.margins)


def judge(network: nn.Module, settings: Settings) -> nn.Module:
    """The classifier that says what the predicted class, the targets and the margin are."""
    undefended = settings.reference == Reference.UNDEFENDED and isinstance(network, Defended)
    return network.network if undefended else network  # type: ignore[return-value]


def subjects(
    network: nn.Module, images: Float[Tensor, "image ..."], targets: Sequence[str | int], settings: Settings
) -> Iterator[Subject]:
    """The images as subjects, under the classifier that ``settings.reference`` names, each checked as it comes."""
    if not images.is_floating_point() or float(images.amin()) < 0 or float(images.amax()) > 1:
        raise InputError(
            f"images of {images.dtype} from {images.amin():g} to {images.amax():g}: they must be floating point "
            "numbers in [0,1], with normalisation inside the network (clever.Normalize)"
        )
    logits = torch.cat([logits_of(judge(network, settings), part) for part in images.split(64)])
    check_targets(targets, logits.shape[1])
    for image, row in zip(images, logits, strict=True):
        name = image_name(image)
        classes = {
            str(target): target_classes(
                target, row, rule=RandomTarget(settings.random_target), seed=settings.seed, image=name
            )
            for target in targets
        }
        predicted = int(row.argmax())
        margins = {label: float(row[predicted] - row[label]) for labels in classes.values() for label in labels}
        yield Subject(image, name, predicted, classes, margins)


def image_name(image: Float[Tensor, "channel height width"]) -> str:
    """The sha256 of an image's values in double precision: what its random numbers depend on."""
    return hashlib.sha256(image.double().cpu().contiguous().numpy().tobytes()).hexdigest()
