"""CLEVER: sample, take batch maxima, estimate the end point, put it into the bound."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from clever.errors import InputError
from clever.extreme_value import EndPoint, end_points
from clever.maxima import Site
from clever.models import frozen
from clever.norms import Norm
from clever.orders import FirstOrder, Order
from clever.samplers import Sampler, sample_with
from clever.settings import Settings
from clever.subjects import Subject, subjects

TARGETS: tuple[str | int, ...] = ("top2", "random", "least")
NORMS: tuple[str, ...] = ("L1", "L2", "Linf")


@dataclass(frozen=True)
class Score:
    """One estimated lower bound of the distance to the nearest image that the network takes for the target class.

    An estimate: it can exceed the true distance and guarantees nothing. ``score``, ``radius`` and the distance are in
    [0,1]-pixel units and in the ``norm``; ``capped`` says that the score is R because the bound reached beyond what was
    sampled. ``target_class`` of an untargeted score is the class with the smallest score. ``margin`` and
    ``gradient_norm``: g(x0) and ``||grad g(x0)||_q`` at the image itself, in logits (per unit of pixel space).
    ``maxima``: the N_b batch maxima that the end point was estimated from. ``diagnostics``: what else the order has
    to say, such as the cost of curvatures in Hessian-vector products.
    """

    image: str
    predicted: int
    target: str
    target_class: int
    norm: str
    order: str
    score: float
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
        bar.reset(total=per_class * sum(len(subject.classes) for subject in found))
        sampler = sample_with(bar.update)
        for subject in found:
            results += score_subject(network, subject, settings, norms=norms, order=order, sampler=sampler)
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
    labels = subject.classes
    maxima = {
        ball: sampler(
            lambda some: order.measure(network, subject.predicted, some),
            Site(subject.image, subject.name, ball, settings.n_samples, settings.seed, settings.clip),
            subject.predicted,
            labels,
            settings.n_batches,
        )
        for ball in dict.fromkeys(settings.ball(Norm.named(norm)) for norm in norms)
    }
    results = []
    for norm in map(Norm.named, norms):
        ball = settings.ball(norm)
        largest = maxima[ball].value[:, :, order.column(norm, settings), 0]
        points = end_points(largest.T, settings.estimator)
        radius = ball.holds(norm, subject.image.numel())
        limit = radius if settings.cap else math.inf
        bound = [
            order.bound(subject, label, norm, point.value, limit) for label, point in zip(labels, points, strict=True)
        ]
        for target, candidates in subject.targets.items():
            at = min(map(labels.index, candidates), key=bound.__getitem__)
            results.append(
                Score(
                    image=subject.name,
                    predicted=subject.predicted,
                    target=target,
                    target_class=labels[at],
                    norm=norm,
                    order=order.name,
                    score=bound[at],
                    capped=settings.cap and bound[at] == limit,
                    margin=subject.margins[labels[at]],
                    gradient_norm=subject.gradients[labels[at]][norm.dual],
                    radius=radius,
                    n_batches=settings.n_batches,
                    n_samples=settings.n_samples,
                    end_point=points[at],
                    diagnostics=order.diagnostics(maxima[ball], at),
                    maxima=largest[:, at],
                )
            )
    return results
