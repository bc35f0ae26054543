"""The settings of a score (all but network, image, target and order), and the two published presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from clever._internal.checks import is_number, require_bool, require_int
from clever._internal.choice import Choice
from clever.errors import InputError
from clever.extreme_value.estimators import Estimator
from clever.norms import Norm
from clever.sampling.balls import Ball, Law
from clever.targets import RandomTarget


class Convention(Choice):
    """How the smallest eigenvalue of the Hessian becomes a curvature; M is the largest curvature in the ball."""

    NEGATIVE_PART = "negative_part"
    """max(-lambda_min, 0), as in the theorem. A margin that is convex around the image has M = 0."""
    ABSOLUTE = "absolute"
    """abs(lambda_min), as in the authors' code; lowers the score where the margin is convex."""

    def curvature(self, smallest: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The non-negative curvature for each smallest eigenvalue."""
        return smallest.abs() if self is Convention.ABSOLUTE else (-smallest).clamp_min(0)


class Reference(Choice):
    """The classifier that determines the predicted class, the targets, g(x0) and grad g(x0).

    ``defended``: f(t(x)), the classifier that is scored. ``undefended``: f(x), as in the authors' code, which
    transforms only the sampled points.
    """

    DEFENDED = "defended"
    UNDEFENDED = "undefended"


CHOICES: dict[str, type[Choice]] = {
    "law": Law,
    "reference": Reference,
    "random_target": RandomTarget,
    "estimator": Estimator,
    "curvature": Convention,
}
"""Settings whose values are enumerated."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How points are sampled and the end point is estimated. `InputError` for an invalid value, on construction.

    Enumerated values may be given by name, such as ``law="uniform"``.

    ``n_batches``, ``n_samples``: N_b and N_s. ``radius``: R for each norm, such as ``{"L2": 3.0}``, in [0,1]-pixel
    units. ``law``: the distribution of the points in the ball. ``shared_points``: use the points of the L2 ball for all
    norms. ``clip``: clip points to the valid pixel range; uniform points are then no longer uniform. ``segments``: for
    each sampled x, evaluate f not at t(x) but at a random point z = z0 + u (t(x) - z0) of the segment from z0 = t(x0)
    to t(x), u uniform in [0,1]. The mean value theorem behind the bound requires this. Without BPDA, t is part of f and
    the segments run from x0 to x. ``cap``: limit scores to the sampled radius (`Score.radius`). ``random_target``:
    which classes a random target may be. ``reference``: which classifier determines the predicted class. ``curvature``:
    how an eigenvalue becomes a curvature, for second order. ``estimator``: the estimator of the end point; below 256
    points per batch ``r_largest`` reduces to ``profile``. ``seed``: of the sampled points and of random targets.

    Three settings raise the estimated maximum: L (first order), M (second order) or K (`clever.Gauge`). ``floor``: to
    the value at the image itself, which is a point of the ball. ``path``: to the largest value on the path to an
    adversarial image that a short attack finds within the ball (`clever.scoring.path`), so that no score exceeds that
    image's distance (behind a staircase with BPDA, the distance after the transformation; with `clever.Gauge`, the
    distance before it). ``ascent``: to the largest value that this number of steps of projected gradient ascent reaches
    from the largest sampled points (`clever.scoring.ascent`); 0 for none. Ascent needs a network with second
    derivatives, or with third derivatives for second order.
    """

    n_batches: int
    n_samples: int
    radius: Mapping[str, float]
    law: Law | str = Law.UNIFORM
    shared_points: bool = False
    clip: bool = False
    cap: bool = True
    floor: bool = True
    segments: bool = False
    path: bool = False
    ascent: int = 0
    reference: Reference | str = Reference.DEFENDED
    random_target: RandomTarget | str = RandomTarget.ANY
    estimator: Estimator | str = Estimator.R_LARGEST
    curvature: Convention | str = Convention.NEGATIVE_PART
    seed: int = 1215

    def __post_init__(self) -> None:
        for name, choice in CHOICES.items():
            object.__setattr__(self, name, choice.parse(getattr(self, name)))
        min_batches = Estimator.parse(self.estimator).rule.min_batches
        for name, least in (("n_batches", min_batches), ("n_samples", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}: the estimator {self.estimator} needs at least {least}")
        for name in ("shared_points", "clip", "cap", "path", "floor", "segments"):
            require_bool(name, getattr(self, name))
        require_int("ascent", self.ascent, 0)
        require_int("seed", self.seed, 0, 2**63 - 1)
        if not isinstance(self.radius, Mapping):
            raise InputError(f"radius is {self.radius!r}: it must map each norm to its radius, as in {{'L2': 3.0}}")
        radius = {str(Norm.parse(name)): self.radius[name] for name in self.radius}
        for name, value in radius.items():
            if not is_number(value):
                raise InputError(f"the radius of the {name} ball is {value!r}: it must be a number")
            Ball(Norm.parse(name), float(value))  # refuses radius <= 0
        object.__setattr__(self, "radius", {name: float(value) for name, value in radius.items()})

    def ball(self, norm: str) -> Ball:
        """The ball sampled for scores in this norm; `InputError` if the norm is unknown or has no radius."""
        sampled = Norm.L2 if self.shared_points else Norm.parse(norm)
        if sampled not in self.radius:
            raise InputError(
                f"no radius for the {sampled} ball: settings.radius has {', '.join(self.radius) or 'none'}"
            )
        return Ball(sampled, self.radius[sampled], self.law)


def paper(**changes: Any) -> Settings:
    """The settings of Weng et al. 2018 (ICLR, arXiv 1801.10578): 500 batches of 1024 uniform points, scores capped.

    The radius is 5 in every norm, in [0,1]-pixel units. ``changes``: fields of `Settings` to override; `InputError` for
    invalid values.

        clever.paper(n_batches=50, radius={"L2": 3.0})
    """
    chosen: dict[str, Any] = dict(
        n_batches=500, n_samples=1024, radius=dict.fromkeys(Norm, 5.0), floor=False, estimator=Estimator.MLE
    )
    return Settings(**chosen | changes)


def reference_code(**changes: Any) -> Settings:
    """The settings of the authors' published code, which differ from the papers' (arXiv 1810.08640 and its code).

    One L2 ball of radius 3, its points clipped to [0,1], serves all norms; scores are not capped; the undefended
    network determines the classes. ``changes``: fields of `Settings` to override; `InputError` for invalid values.
    """
    chosen: dict[str, Any] = dict(
        n_batches=500,
        n_samples=1024,
        radius={Norm.L1: 30.0, Norm.L2: 3.0, Norm.LINF: 0.1},
        law=Law.REFERENCE_CODE,
        shared_points=True,
        clip=True,
        cap=False,
        floor=False,
        reference=Reference.UNDEFENDED,
        random_target=RandomTarget.NOT_EXTREME,
        estimator=Estimator.MLE_REG,
        curvature=Convention.ABSOLUTE,
    )
    return Settings(**chosen | changes)
