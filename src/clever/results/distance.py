"""One adversarial distance, with its image."""

import math
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, repr=False)
class Distance:
    """The distance to the nearest adversarial image that was found for one image, target and norm.

    Guarantee: a finite ``distance`` is that between the image and ``adversarial``, an image in [0,1] for which alone
    the network, its defense included, predicts ``target_class``. It is an upper bound of the true distance: a stronger
    attack may find a nearer image. It is infinite, and ``adversarial`` None, where none was found; that proves nothing.

    ``distance`` is in [0,1]-pixel units and in the ``norm``. ``image_index``: the image's place among those given;
    ``image``: its sha256, as in `Score`. ``label``: its true class, None where it was not given. ``target_class`` of an
    untargeted distance is the class with the nearest image; where nothing was found, the most likely one but the
    predicted one. ``rate``, behind a random defense: the share of held-out draws that predict the target class for the
    adversarial image, and ``rate_unseen`` that of further draws, on which nothing in the search depends; else None.
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
        """A flat dictionary for a row of a table, without the image; labels and rates only where they are known."""
        return {name: value for name, value in vars(self).items() if name != "adversarial" and value is not None}

    @property
    def remarks(self) -> str:
        """ "not found" where there is no distance, else empty."""
        return "" if math.isfinite(self.distance) else "not found"

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label {self.label}"
        what = f"image {self.image_index}{label}: class {self.predicted} to {self.target_class} ({self.target})"
        return f"<Distance {what}, {self.norm} {self.distance:.4g}{f', {self.remarks}' * bool(self.remarks)}>"
