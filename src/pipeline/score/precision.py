"""What a lower precision does to gradient norms, measured at a few points of the run's own network."""

from clever.classifier.compute import Compute, Precision, deviation
from clever.defenses.bpda import Defended
from clever.sampling.maxima import BallSampler
from pipeline.shared.data.selection import Selection
from pipeline.shared.store.progress import Progress

PROBES = 8
"""Points at which a lower precision is compared with the full one."""


def changed_by(
    compute: Compute, sampled: Defended, selection: Selection, progress: Progress
) -> dict[str, dict[str, float]]:
    """Told, and to be kept with the scores; nothing with full precision."""
    if compute.precision is Precision.FLOAT32 or not selection.contexts:
        return {}
    context, settings = selection.contexts[0], selection.settings
    image, ball = selection.image(context.index), settings.ball(selection.norms[0])
    ball_sampler = BallSampler(image, context.name, ball, PROBES, settings.seed, settings.clip)
    points, _ = next(ball_sampler.points(range(1), PROBES))
    share = deviation(compute, sampled, selection.network, points, context.predicted, context.classes).flatten(0, 1)
    share = share[share.isfinite().all(1)]  # a gradient of zero has no share
    if not len(share):
        return {}
    told = {"median": float(share.median()), "largest": float(share.max())}
    progress.print(
        f"{compute.precision} changes gradient norms by {told['median']:.2%} (median), {told['largest']:.2%} at most, "
        f"at {PROBES} points around the first image: compare that with the columns low and high of the scores"
    )
    return {"gradient_norms_changed_by": told}
