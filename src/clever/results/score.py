"""What the library says of one image, target and norm."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value.estimators import EndPoint


@dataclass(frozen=True, repr=False)
class Score:
    """One estimated lower bound of the distance to the nearest image that the network takes for the target class.

    An estimate: it can exceed the true distance and guarantees nothing. Of a `Defended` network with BPDA, first order
    does not even estimate a lower bound: it speaks of the distance on the output's side of the defense (`Defended`);
    `clever.Gauge` estimates one. ``score``, ``radius``, ``farthest_sample`` and the distance are in [0,1]-pixel units
    and in the ``norm``. ``radius``: how far the cap lets a score go, min(R, what the box leaves): where points are
    clipped to [0,1], no further than the farthest of them, with shared points that of the largest
    ball of the norm that the L2 ball holds. ``farthest_sample``: the distance of the farthest point sampled, in the
    norm of the ball sampled.
    ``segments``: whether the points lay on the segments from t(x0) to t(x), z0 + u (t(x) - z0), and not only at t(x).
    ``capped``: the score is ``radius`` because the bound reached beyond what was sampled. ``raised_to_x0``:
    the end point came out below what is measured at the image itself, which stands in its place (`Settings.floor`);
    ``on_path``, that what was measured on the way to an adversarial image does (`Settings.path`); ``ascended``, that
    what ascent from the largest sampled points found does (`Settings.ascent`);
    ``vanishing``, that gradients were zero or nearly so wherever they were taken, so that the score says nothing;
    ``already_changed``, that the classifier takes the image itself for another class than ``predicted``, which can be
    with `Reference.UNDEFENDED` alone: the true distance is 0, whatever the score.
    ``target_class`` of an untargeted score is the class with the smallest score. ``margin`` and ``gradient_norm``:
    g(x0) and ``||grad g(x0)||_q`` at the image itself, in logits (per unit of pixel space). ``constant``: the estimate
    of L, M or K that the score is made of. ``gradients``: what that has cost for this score alone, in gradients, or
    curvatures of second order: those at sampled points, on the path and of the ascent. ``maxima``: the N_b batch
    maxima that the end point was estimated from. ``diagnostics``: what else the order has to say, such as the cost of
    curvatures in Hessian-vector products. ``low`` and ``high``: nominal 95 % interval, the scores for the ends of the
    end point's interval by profile likelihood (`EndPoint.high`, `EndPoint.low`). Where nothing excludes that there is
    no end point (`EndPoint.unbounded`), ``low`` is 0: what remains is the one-sided statement, of 97.5 %, that the
    score for the true end point is at most ``high``. NaN where no law was fitted. An untargeted score, the smallest
    of several estimates, is biased low where the true ones are about equal; ``low`` and ``high`` are the interval of
    the class chosen, which ignores the choice (docs/method.md has what it then covers).

    ``image_index``: which of the images given; ``image``: the sha256 of its values; ``label``: its true class, None
    where that was not told; ``predicted``: the class that is defended.
    """

    image_index: int
    image: str
    label: int | None
    predicted: int
    target: str
    target_class: int
    norm: str
    order: str
    score: float
    low: float
    high: float
    capped: bool
    raised_to_x0: bool
    on_path: bool
    ascended: bool
    vanishing: bool
    already_changed: bool
    margin: float
    gradient_norm: float
    radius: float
    farthest_sample: float
    segments: bool
    constant: float
    gradients: int
    n_batches: int
    n_samples: int
    end_point: EndPoint
    diagnostics: dict[str, float]
    maxima: NDArray[np.float32] = field(repr=False, compare=False)

    def row(self) -> dict[str, object]:
        """A flat dictionary for a row of a table, without the maxima; the end point's fields carry a prefix.

        ``label`` is in it only where it is known.
        """
        nested = ("end_point", "diagnostics", "maxima", *(["label"] if self.label is None else []))
        flat = {name: value for name, value in vars(self).items() if name not in nested}
        point = vars(self.end_point)
        fit = {f"end_point_{name}" if name != "value" else "end_point": item for name, item in point.items()}
        return flat | fit | self.diagnostics

    @property
    def remarks(self) -> str:
        """What keeps the number from being read as it is: capped, raised_to_x0, ...; empty where nothing does.

        "no fit": the largest sampled value stands in for the end point, so that the score is rather too large.
        """
        said = ["no fit"] * (self.end_point.fit_failed or self.end_point.discrete)
        named = ("capped", "raised_to_x0", "on_path", "ascended", "vanishing", "already_changed")
        return ", ".join([*said, *(name.replace("_", " ") for name in named if getattr(self, name))])

    @property
    def interval(self) -> str:
        """``low`` to ``high``, empty where they are not known."""
        return f"{self.low:.3g} to {self.high:.3g}" if self.low == self.low else ""

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label {self.label}"
        interval, remarks = f" ({self.interval})" * bool(self.interval), f", {self.remarks}" * bool(self.remarks)
        what = f"image {self.image_index}{label}: class {self.predicted} to {self.target_class} ({self.target})"
        return f"<Score {what}, {self.norm} {self.score:.4g}{interval}{remarks}>"
