"""Effect of a lower precision on gradient norms, measured at a few points of the scored network."""

from clever.classifier.compute import Compute, Precision, deviation
from clever.defenses.bpda import Defended
from clever.sampling.maxima import BallSampler
from pipeline.shared.data.selection import Selection
from pipeline.shared.store.progress import Progress

PROBES = 8
"""Number of points at which a lower precision is compared with float32."""


def precision_effect(
    compute: Compute, sampled: Defended, selection: Selection, progress: Progress
) -> dict[str, dict[str, float]]:
    """The relative change of gradient norms as an entry of the run record, also printed; empty for float32."""
    if compute.precision is Precision.FLOAT32 or not selection.contexts:
        return {}
    context, settings = selection.contexts[0], selection.settings
    image, ball = selection.image(context.index), settings.ball(selection.norms[0])
    ball_sampler = BallSampler(image, context.name, ball, PROBES, settings.seed, settings.clip)
    points, _ = next(ball_sampler.points(range(1), PROBES))
    change = deviation(compute, sampled, selection.network, points, context.predicted, context.classes).flatten(0, 1)
    change = change[change.isfinite().all(1)]  # the relative change of a zero gradient is undefined
    if not len(change):
        return {}
    summary = {"median": float(change.median()), "largest": float(change.max())}
    progress.print(
        f"{compute.precision} changes gradient norms by {summary['median']:.2%} (median), "
        f"{summary['largest']:.2%} at most, at {PROBES} points around the first image: compare this with the columns "
        "low and high of the scores"
    )
    return {"gradient_norms_changed_by": summary}
