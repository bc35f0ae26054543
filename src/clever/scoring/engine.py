"""The scoring loop: image by image, from sampled maxima to scores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from jaxtyping import Float
from torch import Tensor, nn

from clever.bounds.first_order import Order
from clever.classifier.image_context import ImageContext
from clever.norms import Norm
from clever.results.score import Score
from clever.sampling.balls import Ball
from clever.sampling.samplers import Sampler
from clever.scoring import ascent
from clever.scoring.estimates import BallEstimator, Estimate
from clever.settings import Settings


def check_order(
    network: nn.Module, example: Float[Tensor, "1 channel height width"], settings: Settings, order: Order
) -> None:
    """Raise `InputError` if the order is not defined for the network with these settings; before any sampling."""
    order.check(network, example, settings)
    ascent.check(order, network, example, settings)


def points_per_class(settings: Settings, norms: Iterable[str]) -> int:
    """The number of sampled points per target class of an image, in all balls together."""
    balls = {settings.ball(Norm.parse(norm)) for norm in norms}
    return len(balls) * settings.n_batches * settings.n_samples


def score_images(
    network: nn.Module,
    contexts: Sequence[ImageContext],
    image_at: Callable[[int], Float[Tensor, "channel height width"]],
    settings: Settings,
    *,
    norms: Sequence[str],
    order: Order,
    sampler: Sampler,
    guard: Callable[[ImageContext], AbstractContextManager[object]] = nullcontext,
    finished: Callable[[ImageContext, int], object] = lambda context, left: None,
) -> Iterator[tuple[ImageContext, list[Score]]]:
    """Yield the scores of each image as soon as they are computed, one for each target and norm. The network must be
    `frozen`.

    ``image_at``: maps an index to its image. ``sampler``: returns the batch maxima, computed or stored. Each image is
    scored within ``guard``; if that suppresses a `NotFinite` error, the image has no scores. ``finished`` is called
    after each image with the number of remaining points.
    """
    per_class = points_per_class(settings, norms)
    left = per_class * sum(len(context.classes) for context in contexts)
    for context in contexts:
        scores: list[Score] = []
        with guard(context):
            image = image_at(context.index)
            scores = score_image(network, image, context, settings, norms=norms, order=order, sampler=sampler)
        left -= per_class * len(context.classes)
        finished(context, left)
        yield context, scores


def vanishing_message(scores: Sequence[Score]) -> str | None:
    """A message with the number of scores whose gradients vanish; None if there are none."""
    count = sum(score.vanishing for score in scores)
    if not count:
        return None
    return (
        f"{count} of {len(scores)} scores are uninformative: their gradients are zero, or nearly so, at every sampled "
        "point (gradient masking)"
    )


def score_image(
    network: nn.Module,
    image: Float[Tensor, "channel height width"],
    context: ImageContext,
    settings: Settings,
    *,
    norms: Sequence[str],
    order: Order,
    sampler: Sampler,
) -> list[Score]:
    """The scores of one image, one for each target and norm. The network must be `frozen`."""
    parsed = [Norm.parse(norm) for norm in norms]
    norms_by_ball: dict[Ball, list[Norm]] = {}
    for norm in parsed:
        norms_by_ball.setdefault(settings.ball(norm), []).append(norm)
    estimates: dict[tuple[Norm, int], Estimate] = {}
    for ball, ball_norms in norms_by_ball.items():
        estimates |= BallEstimator(network, image, context, settings, order, ball, ball_norms).estimates(sampler)
    return [
        _score(context, settings, order, norm, target, {label: estimates[norm, label] for label in classes})
        for norm in parsed
        for target, classes in context.targets.items()
    ]


def _score(
    context: ImageContext, settings: Settings, order: Order, norm: Norm, target: str, by_class: dict[int, Estimate]
) -> Score:
    """The smallest score among the classes of a target."""
    label = min(by_class, key=lambda label: by_class[label].score)
    estimate = by_class[label]
    return Score(
        image_index=context.index,
        image=context.name,
        label=context.label,
        predicted=context.predicted,
        target=target,
        target_class=label,
        norm=norm,
        order=order.name,
        score=estimate.score,
        low=estimate.low,
        high=estimate.high,
        capped=settings.cap and estimate.score == estimate.radius,
        raised_to_x0=estimate.raised_to_x0,
        on_path=estimate.on_path,
        ascended=estimate.ascended,
        vanishing=estimate.vanishing,
        already_changed=context.already_changed,
        margin=context.margins[label],
        gradient_norm=context.gradients[label][norm.dual],
        radius=estimate.radius,
        farthest_sample=estimate.farthest_sample,
        segments=settings.segments or order.segments,
        constant=estimate.constant,
        gradients=estimate.gradients,
        n_batches=len(estimate.largest),
        n_samples=settings.n_samples,
        end_point=estimate.end_point,
        diagnostics=estimate.diagnostics,
        maxima=estimate.largest[:, 0],
    )
