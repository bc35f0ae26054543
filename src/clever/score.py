"""CLEVER: sample, take batch maxima, estimate the end point, put it into the bound."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from clever.errors import InputError
from clever.extreme_value import EndPoint, end_points
from clever.maxima import BatchMaxima, Site
from clever.models import frozen
from clever.norms import Norm
from clever.orders import FirstOrder, Order
from clever.samplers import Sampler, sample_with
from clever.sampling import Ball
from clever.settings import Settings
from clever.subjects import Subject, subjects

TARGETS: tuple[str | int, ...] = ("top2", "random", "least")
NORMS: tuple[str, ...] = ("L1", "L2", "Linf")
SIGMAS = 1.96
"""Standard errors to either side that make a nominal 95 % interval."""


@dataclass(frozen=True)
class Score:
    """One estimated lower bound of the distance to the nearest image that the network takes for the target class.

    An estimate: it can exceed the true distance and guarantees nothing. ``score``, ``radius`` and the distance are in
    [0,1]-pixel units and in the ``norm``; ``capped`` says that the score is R because the bound reached beyond what was
    sampled. ``target_class`` of an untargeted score is the class with the smallest score. ``margin`` and
    ``gradient_norm``: g(x0) and ``||grad g(x0)||_q`` at the image itself, in logits (per unit of pixel space).
    ``maxima``: the N_b batch maxima that the end point was estimated from. ``diagnostics``: what else the order has
    to say, such as the cost of curvatures in Hessian-vector products. ``low`` and ``high``: the score for end points
    1.96 standard errors above and below the estimated one (`EndPoint.standard_error`, which says how far to trust it),
    NaN where that error is not known.
    """

    image: str
    predicted: int
    target: str
    target_class: int
    norm: str
    order: str
    score: float
    low: float
    high: float
    capped: bool
    margin: float
    gradient_norm: float
    radius: float
    n_batches: int
    n_samples: int
    end_point: EndPoint
    diagnostics: dict[str, float]
    maxima: NDArray[np.float32] = field(repr=False, compare=False)

    def row(self) -> dict[str, object]:
        """A flat dictionary for a row of a pandas table, without the maxima; the end point's fields carry a prefix."""
        flat = {name: value for name, value in vars(self).items() if name not in ("end_point", "diagnostics", "maxima")}
        point = vars(self.end_point)
        fit = {f"end_point_{name}" if name != "value" else "end_point": item for name, item in point.items()}
        return flat | fit | self.diagnostics


def score(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"] | Float[Tensor, "channel height width"],
    settings: Settings,
    *,
    targets: Sequence[str | int] = TARGETS,
    norms: Sequence[str] = NORMS,
    order: Order = FirstOrder(),  # noqa: B008 (frozen)
    labels: Sequence[int] | None = None,
    progress: bool = True,
) -> list[Score]:
    """CLEVER of each image, target and norm (Weng et al. 2018, algorithm 1; of a `Defended` network, CLEVER-BPDA).

    ``network`` maps images in [0,1] to logits and may be any module, on any device, the images' own. ``targets``:
    "top2", "random", "least", "untargeted" or class numbers. The predicted class is the one defended; with ``labels``,
    the true classes, misclassified images are left out, as the papers do. ``order``: `FirstOrder` or `SecondOrder`. The
    same arguments give the same numbers. `InputError` for what cannot be scored, before anything is sampled.
    """
    if not norms:
        raise InputError(f"no norm: choose from {', '.join(NORMS)}")
    images = images if images.ndim == 4 else images.unsqueeze(0)
    results = []
    with frozen(network), tqdm(unit="point", unit_scale=True, disable=not progress, smoothing=0) as bar:
        order.check(network, images[:1])
        found = list(subjects(network, images, targets, settings, labels))
        balls = {settings.ball(Norm.named(norm)) for norm in norms}
        per_class = len(balls) * settings.n_batches * settings.n_samples
        left = per_class * sum(len(subject.classes) for subject in found)
        bar.reset(left)
        sampler = sample_with(bar.update)
        for subject in found:
            results += score_subject(network, subject, settings, norms=norms, order=order, sampler=sampler)
            left -= per_class * len(subject.classes)
            bar.total = bar.n + left  # a tolerance may have saved some
    return results


def score_subject(
    network: nn.Module,
    subject: Subject,
    settings: Settings,
    *,
    norms: Sequence[str],
    order: Order,
    sampler: Sampler,
) -> list[Score]:
    """The scores of one image, one for each target and norm. The network must be `frozen`."""
    served: dict[Ball, list[Norm]] = {}
    for norm in map(Norm.named, norms):
        served.setdefault(settings.ball(norm), []).append(norm)
    estimates: dict[tuple[Norm, int], Estimate] = {}
    for ball, of_ball in served.items():
        estimates |= _estimates(network, subject, settings, ball, of_ball, order, sampler)
    results = []
    for norm in map(Norm.named, norms):
        for target, candidates in subject.targets.items():
            label = min(candidates, key=lambda j, norm=norm: estimates[norm, j].score)  # type: ignore[misc]
            chosen = estimates[norm, label]
            results.append(
                Score(
                    image=subject.name,
                    predicted=subject.predicted,
                    target=target,
                    target_class=label,
                    norm=norm,
                    order=order.name,
                    score=chosen.score,
                    low=chosen.low,
                    high=chosen.high,
                    capped=settings.cap and chosen.score == chosen.radius,
                    margin=subject.margins[label],
                    gradient_norm=subject.gradients[label][norm.dual],
                    radius=chosen.radius,
                    n_batches=len(chosen.maxima),
                    n_samples=settings.n_samples,
                    end_point=chosen.end_point,
                    diagnostics=chosen.diagnostics,
                    maxima=chosen.maxima,
                )
            )
    return results


@dataclass(frozen=True)
class Estimate:
    """What the maxima of one target class say in one norm; the fields are those of `Score`."""

    score: float
    low: float
    high: float
    radius: float
    end_point: EndPoint
    diagnostics: dict[str, float]
    maxima: NDArray[np.float32]

    def narrower(self, tolerance: float) -> bool:
        """Whether the interval reaches less than ``tolerance`` of the score to either side, on average."""
        return self.high == self.low or self.high - self.low <= 2 * tolerance * self.score  # equal: infinite ones too


def _estimates(
    network: nn.Module,
    subject: Subject,
    settings: Settings,
    ball: Ball,
    norms: Sequence[Norm],
    order: Order,
    sampler: Sampler,
) -> dict[tuple[Norm, int], Estimate]:
    """Batch after batch at the points of one ball, for each target class until the settings' budget or tolerance."""
    site = Site(subject.image, subject.name, ball, settings.n_samples, settings.seed, settings.clip)
    estimates: dict[tuple[Norm, int], Estimate] = {}
    held: dict[int, list[BatchMaxima]] = {label: [] for label in subject.classes}
    unsettled = subject.classes
    for batches in settings.stages():
        more = sampler(
            lambda some: order.measure(network, subject.predicted, some), site, subject.predicted, unsettled, batches
        )
        for at, label in enumerate(unsettled):
            held[label].append(more.of_target(at))
        maxima = [BatchMaxima.joined(held[label]) for label in unsettled]
        for norm in norms:
            for label, estimate in zip(
                unsettled, _made(subject, settings, ball, norm, order, unsettled, maxima), strict=True
            ):
                estimates[norm, label] = estimate
        if settings.tolerance is not None:
            narrow = settings.tolerance
            unsettled = [j for j in unsettled if not all(estimates[norm, j].narrower(narrow) for norm in norms)]
        if not unsettled:
            break
    return estimates


def _made(
    subject: Subject,
    settings: Settings,
    ball: Ball,
    norm: Norm,
    order: Order,
    labels: Sequence[int],
    maxima: Sequence[BatchMaxima],
) -> Iterator[Estimate]:
    """The estimate of each label in one norm, all their laws fitted at once."""
    radius = ball.holds(norm, subject.image.numel())
    limit = radius if settings.cap else math.inf
    largest = np.stack([of_label.value[:, 0, order.column(norm, settings), 0] for of_label in maxima])
    for label, of_label, row, point in zip(
        labels, maxima, largest, end_points(largest, settings.estimator), strict=True
    ):
        reach = SIGMAS * point.standard_error
        ends = [point.value, point.value + reach, max(point.value - reach, point.sample_maximum)]
        score, low, high = (
            order.bound(subject, label, norm, end, limit) if not math.isnan(end) else math.nan for end in ends
        )
        yield Estimate(score, low, high, radius, point, order.diagnostics(of_label, 0), row)
