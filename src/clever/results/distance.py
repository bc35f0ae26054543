"""The result of an attack on one image: a distance and its adversarial image."""

import math
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, repr=False)
class Distance:
    """The distance to the nearest adversarial image found for one image, target and norm.

    Guarantee: a finite ``distance`` is that between the image and ``adversarial``, an image in [0,1] for which the
    network with its defense, evaluated on that image alone, predicts ``target_class``. It is an upper bound on the true
    distance: a stronger attack may find a nearer image. If the attack fails, ``distance`` is infinite and
    ``adversarial`` None, which proves nothing.

    ``distance`` is measured in ``norm``, in [0,1]-pixel units. ``image_index``: the index among the images given;
    ``image``: its sha256, as in `Score`. ``label``: the true class, or None if not given. ``target_class`` of an
    untargeted distance is the class of the nearest adversarial image; after a failed attack, the most likely class
    other than the predicted one. For a random defense, ``rate`` is the fraction of held-out draws that predict the
    target class for the adversarial image, and ``rate_unseen`` that of further draws, which the search never used;
    otherwise both are None.
    """

    image_index: int
    image: str
    label: int | None
    predicted: int
    target: str
    target_class: int
    norm: str
    distance: float
    rate: float | None = None
    rate_unseen: float | None = None
    adversarial: Float[Tensor, "channel height width"] | None = field(default=None, compare=False)

    def row(self) -> dict[str, object]:
        """A flat dictionary for a table row, without the image and without fields that are None."""
        return {name: value for name, value in vars(self).items() if name != "adversarial" and value is not None}

    @property
    def remarks(self) -> str:
        """ "not found" after a failed attack, otherwise empty."""
        return "" if math.isfinite(self.distance) else "not found"

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label {self.label}"
        text = f"image {self.image_index}{label}: class {self.predicted} to {self.target_class} ({self.target})"
        return f"<Distance {text}, {self.norm} {self.distance:.4g}{f', {self.remarks}' * bool(self.remarks)}>"
