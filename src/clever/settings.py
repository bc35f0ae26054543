"""Everything that decides a score apart from network, image, target and order; the two published presets."""

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
    """What a smallest eigenvalue contributes to M."""

    NEGATIVE_PART = "negative_part"
    """max(-lambda_min, 0): the theorem's. A margin convex around the image has M = 0."""
    ABSOLUTE = "absolute"
    """abs(lambda_min): the authors' code's, which lowers the score where the margin is convex."""

    def of(self, smallest: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The curvature, never negative, of each smallest eigenvalue."""
        return smallest.abs() if self is Convention.ABSOLUTE else (-smallest).clamp_min(0)


class Reference(Choice):
    """Which classifier says what the predicted class, the targets, g(x0) and grad g(x0) are.

    ``defended``: f(t(x)), the classifier that is scored. ``undefended``: f(x), as in the authors' code, where only the
    sampled points are transformed.
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
"""The settings that are names."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How points are drawn and what is made of them. Checked when made: `InputError` says what would be valid.

    What is a choice may be given as its name ("uniform").

    ``n_batches``, ``n_samples``: N_b and N_s. ``radius``: R for each norm, in [0,1]-pixel units. ``law``: of the
    points in the ball. ``shared_points``: the points of the L2 ball serve all norms. ``clip``: points go to the
    valid pixel range first, after which a law that is uniform on the ball is not uniform on the images in it.
    ``segments``: what is measured is f at z = z0 + u (t(x) - z0), z0 = t(x0), u uniform
    in [0,1], for each point x drawn, as the mean value theorem behind the bound needs, and not only at the images
    t(x); without BPDA, t is part of f and the segments are those from x0 to x. ``cap``: a score is at most the
    radius that was sampled, min(R, what the box leaves) (`Score.radius`). ``floor``: the estimate of L or M is at
    least what is measured at the image itself, which is a point of the ball, too. ``path``: nor less than what is
    measured on the way to an adversarial image that a short attack finds within the ball (`clever.scoring.path`), so
    that no score exceeds that image's distance, behind a staircase with BPDA that of what the network sees of it, with
    `clever.Gauge` its own. ``ascent``: nor less than what so many steps of projected gradient ascent reach from each
    of the largest sampled points (`clever.scoring.ascent`), for networks with second derivatives (third ones, of second
    order); 0 for none. ``estimator``: how the end point is found; of batches of fewer than 256 points ``r_largest`` is
    ``profile``. ``curvature``: what an eigenvalue counts, for the second order.
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
        fewest = Estimator.parse(self.estimator).rule.fewest
        for name, least in (("n_batches", fewest), ("n_samples", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}: the estimator {self.estimator} needs a number from {least} up")
        for name in ("shared_points", "clip", "cap", "path", "floor", "segments"):
            require_bool(name, getattr(self, name))
        require_int("ascent", self.ascent, 0)
        require_int("seed", self.seed, 0, 2**63 - 1)
        if not isinstance(self.radius, Mapping):
            raise InputError(f"radius is {self.radius!r}: it must name a radius for each norm, as in {{'L2': 3.0}}")
        radius = {str(Norm.parse(name)): self.radius[name] for name in self.radius}
        for name, value in radius.items():
            if not is_number(value):
                raise InputError(f"the radius of the {name} ball is {value!r}: it must be a number")
            Ball(Norm.parse(name), float(value))  # refuses radius <= 0
        object.__setattr__(self, "radius", {name: float(value) for name, value in radius.items()})

    def ball(self, norm: str) -> Ball:
        """The ball whose points serve the scores of this norm; `InputError` where it is unknown or has no radius."""
        sampled = Norm.L2 if self.shared_points else Norm.parse(norm)
        if sampled not in self.radius:
            raise InputError(
                f"no radius for the {sampled} ball: settings.radius has {', '.join(self.radius) or 'none'}"
            )
        return Ball(sampled, self.radius[sampled], self.law)


def paper(**changes: Any) -> Settings:
    """The setting of Weng et al. 2018 (ICLR, arXiv 1801.10578): 500 batches of 1024 points uniform in a ball, capped.

    Its radius is 5 in every norm, in [0,1]-pixel units. ``changes``: other values of fields of `Settings`; `InputError`
    for what that refuses.
    """
    chosen: dict[str, Any] = dict(
        n_batches=500, n_samples=1024, radius=dict.fromkeys(Norm, 5.0), floor=False, estimator=Estimator.MLE
    )
    return Settings(**chosen | changes)


def reference_code(**changes: Any) -> Settings:
    """What the authors' published program does where it differs from the papers (arXiv 1810.08640 and its code).

    Points of one L2 ball of radius 3, clipped to [0,1], serve all norms; scores are not capped; the undefended network
    names the classes. ``changes``: other values of fields of `Settings`; `InputError` for what that refuses.
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
