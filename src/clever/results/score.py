"""The CLEVER score of one image, target and norm."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clever.extreme_value.estimators import EndPoint


@dataclass(frozen=True, repr=False)
class Score:
    """An estimated lower bound on the distance to the nearest image that the network assigns to the target class.

    It is an estimate and can exceed the true distance. For a `Defended` network with BPDA, a first-order score
    estimates a lower bound not on this distance but on the distance after the transformation (`Defended`); for this
    distance use `clever.Gauge`. Formulas: `clever.FirstOrder`, `clever.SecondOrder`, `clever.Gauge`.

    ``image_index``: the index among the images given; ``image``: the sha256 of its values; ``label``: the true class,
    or None if not given; ``predicted``: the predicted class. ``target_class`` of an untargeted score is the class with
    the smallest score.

    ``score``, ``radius`` and ``farthest_sample`` are distances in [0,1]-pixel units. ``radius``: the largest score that
    the cap allows, in ``norm``. This is R; with clipping to [0,1] it is at most the distance of the farthest point, and
    with shared points it is the radius of the largest ball in this norm inside the L2 ball. ``farthest_sample``: the
    distance of the farthest sampled point, in the norm of the sampled ball. ``segments``: points were sampled on the
    segments from t(x0) to t(x) (`Settings.segments`).

    ``low``, ``high``: the nominal 95 % interval, from the scores for the upper and the lower end of the end point's
    interval (`EndPoint.high`, `EndPoint.low`). If a law without an end point is not rejected (`EndPoint.unbounded`),
    ``low`` is 0, and only a one-sided 97.5 % statement remains: the score for the true end point is at most ``high``.
    NaN if no law was fitted. An untargeted score, a minimum of several estimates, is biased low if the true scores are
    about equal; its interval is that of the chosen class and ignores the choice (coverage: docs/method.md).

    ``capped``: the score was reduced to ``radius``. Three flags say which value has replaced a smaller end point:
    ``raised_to_x0``: the value at the image itself (`Settings.floor`); ``on_path``: the largest value on the path to an
    adversarial image (`Settings.path`); ``ascended``: the largest value reached by ascent (`Settings.ascent`).
    ``vanishing``: all gradients are zero or nearly so; the score is uninformative. ``already_changed``: at the image
    itself, the scored classifier already predicts a class other than ``predicted``; the true distance is 0, whatever
    the score. This is possible only with `Reference.UNDEFENDED`.

    ``margin``, ``gradient_norm``: g(x0) in logits and ``||grad g(x0)||_q`` in logits per unit of pixel space.
    ``constant``: the estimate of L, M or K that determines the score. ``gradients``: the cost of that estimate for this
    score alone, in gradients (in curvatures for second order), including path and ascent. ``maxima``: the N_b batch
    maxima that the end point was estimated from. ``diagnostics``: further numbers of the order, such as Hessian-vector
    products per curvature.
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
        """A flat dictionary for a table row, without the maxima; the end point's fields get a prefix.

        Without ``label`` if it is None.
        """
        nested = ("end_point", "diagnostics", "maxima", *(["label"] if self.label is None else []))
        flat = {name: value for name, value in vars(self).items() if name not in nested}
        point = vars(self.end_point)
        fit = {f"end_point_{name}" if name != "value" else "end_point": item for name, item in point.items()}
        return flat | fit | self.diagnostics

    @property
    def remarks(self) -> str:
        """The flags that are set, such as "capped" or "raised to x0"; empty if none is.

        "no fit": the sample maximum is used as the end point, which overestimates the score.
        """
        no_fit = ["no fit"] * (self.end_point.fit_failed or self.end_point.discrete)
        flags = ("capped", "raised_to_x0", "on_path", "ascended", "vanishing", "already_changed")
        return ", ".join([*no_fit, *(name.replace("_", " ") for name in flags if getattr(self, name))])

    @property
    def interval(self) -> str:
        """The interval as text, "low to high"; empty if it is unknown."""
        return f"{self.low:.3g} to {self.high:.3g}" if self.low == self.low else ""

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label {self.label}"
        interval, remarks = f" ({self.interval})" * bool(self.interval), f", {self.remarks}" * bool(self.remarks)
        text = f"image {self.image_index}{label}: class {self.predicted} to {self.target_class} ({self.target})"
        return f"<Score {text}, {self.norm} {self.score:.4g}{interval}{remarks}>"
