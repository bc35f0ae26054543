"""The smallest adversarial distance: all targeted minimum-norm attacks, and the refinement of what they find."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever._internal.types import Transformation
from clever.attacks.carlini_wagner import carlini_wagner
from clever.attacks.checks import check_arguments, check_network
from clever.attacks.criterion import HELD_OUT, UNSEEN, HeldOutDraws, SuccessCriterion, random_transformation
from clever.attacks.ddn import ddn
from clever.attacks.descent import descend, has_pixelwise_steps
from clever.attacks.fast_minimum_norm import fast_minimum_norm, fast_minimum_norm_from
from clever.attacks.jpeg_local_search import jpeg_local_search
from clever.attacks.pass_counter import PassCounter
from clever.attacks.refine import BestSoFar, as_image_map, overshoot, shrink, snap_back, sparsify
from clever.attacks.strength import Method, Strength, check_method
from clever.classifier.compute import Compute
from clever.classifier.wrappers import frozen
from clever.defenses.bpda import BPDA, Defended
from clever.defenses.chain import parts
from clever.defenses.jpeg.linearized import Linearized
from clever.norms import Norm

MEMORIES = (0.9, 0.8, 0.95, 0.7)
"""The ``memory`` of `clever.descend` for each start in turn: which value finds the nearest image varies by image."""


@dataclass(frozen=True)
class Found:
    """The nearest adversarial image found for each row.

    ``distance``: to the original, in [0,1]-pixel units and the requested norm; infinite where nothing was found.
    ``images``: the adversarial images; the original where nothing was found. ``rate``: behind a random defense, the
    share of the held-out draws (`SuccessCriterion`) that predict the target class for the image; ``unseen``: the same
    share among as many other draws, which the search never uses. Both are NaN where nothing is random or found.
    ``forwards`` and ``backwards``: the most passes through the network that any row took; each draw counts.
    """

    distance: Float[Tensor, " row"]
    images: Float[Tensor, "row channel height width"]
    rate: Float[Tensor, " row"]
    unseen: Float[Tensor, " row"]
    forwards: int
    backwards: int


def smallest_distances(
    network: nn.Module,
    images: Float[Tensor, "row channel height width"],
    predicted: Sequence[int],
    targets: Sequence[int],
    norm: Norm,
    strength: Strength,
    *,
    seed: int,
    criterion: SuccessCriterion = SuccessCriterion(),  # noqa: B008 (frozen)
) -> Found:
    """The nearest image found to each original that ``network`` classifies as the target class.

    Guarantee: a finite distance belongs to an image in [0,1] that the network, including its transformation, classified
    as the target class. It is therefore an upper bound on the true smallest distance; how tight is unknown. It is 0
    where the network predicts the target class for the original. The same arguments give the same result. Behind a
    random defense the network is the mean over its own draws, and the held-out draws have also accepted the image
    (`SuccessCriterion`).

    The network maps images in [0,1] to logits and is left unchanged. The search uses the network's own gradients, so a
    `Defended` network is attacked through BPDA. All rows are attacked at once. Behind a staircase with known steps
    (`clever.attacks.descent.pixelwise`) the search is `clever.descend` with the gauge's minimiser; behind JPEG
    `clever.attacks.jpeg_local_search` continues from its result. Elsewhere it is DDN (Rony et al. 2019) for L2 and FMN
    (Pintor et al. 2021) for L1 and Linf from the original, then `fast_minimum_norm_from` from their result. The images
    found are then refined (`clever.attacks.refine`). `InputError` for invalid arguments.
    """
    check_arguments(images, predicted, targets, seed)
    check_method(strength, norm)
    with frozen(network), Compute().arithmetic():
        check_network(network, images, targets)
        labels = torch.tensor(targets, device=images.device)
        defense = network.defense if isinstance(network, Defended) else None
        codec, bpda_network = _through_jpeg(network) or (None, network)
        counters = PassCounter(network).eval(), PassCounter(bpda_network).eval()
        held_out, unseen_draws = _held_out(network, criterion)

        def new_run(run_norm: Norm) -> BestSoFar:
            return BestSoFar(counters[0], images, labels, run_norm, held_out=held_out)

        nearest = new_run(norm)
        nearest.keep_if_closer(images)
        if strength.method is Method.CARLINI_WAGNER:
            steps, weights = strength.steps, strength.starts
            _keep(nearest, carlini_wagner(nearest.network, images, labels, weights=weights, steps=steps))
        else:
            staircase = None if defense is None else as_image_map(defense)
            _search_all(nearest, new_run, staircase, codec, counters[1], strength, seed)
        unseen = nearest.rate  # NaN
        if unseen_draws:
            unseen = unseen_draws.rate(nearest.image, labels).where(nearest.distance.isfinite(), math.nan)
    forwards = sum(counter.forwards for counter in counters) + (held_out.forwards if held_out else 0)
    backwards = sum(counter.backwards for counter in counters)
    return Found(nearest.distance, nearest.image, nearest.rate, unseen, forwards, backwards)


def _search_all(
    nearest: BestSoFar,
    new_run: Callable[[Norm], BestSoFar],
    staircase: Transformation | None,
    codec: Linearized | None,
    bpda_network: nn.Module,
    strength: Strength,
    seed: int,
) -> None:
    """Run every search from each start, each with a `BestSoFar` of its own, and keep the results in ``nearest``."""
    images, norm = nearest.originals, nearest.norm
    generator = torch.Generator(images.device).manual_seed(seed)
    for start in range(strength.starts):
        if staircase and has_pixelwise_steps(staircase):
            memory, run = MEMORIES[start % len(MEMORIES)], new_run(norm)
            descend(run.margin, images, norm, steps=strength.steps, defense=staircase, memory=memory)
            # Not for Linf: the smallest distance is often half a level at every pixel.
            if codec and norm is not Norm.LINF:
                snap_back(run, staircase)
                run.network = bpda_network
                jpeg_local_search(run, codec, strength.steps, torch.Generator(images.device).manual_seed(seed + start))
            nearest.keep_if_closer(run.image)
            continue
        # On a staircase many small changes cost little in L1 once they are snapped back, so L2 is searched as well.
        for searched in [Norm.L1, Norm.L2] if norm is Norm.L1 and staircase else [norm]:
            run, scale = new_run(searched), 2.0 ** ((start + 1) // 2 * (-1 if start % 2 else 1))
            _minimum_norm(run, strength.steps, scale, generator)
            # Snapping back can change which of two images is nearer, so both are tried.
            nearest.keep_if_closer(_snapped(run, staircase).image)
            fast_minimum_norm_from(run, strength.steps, 2 * scale)
            shrink(run)
            nearest.keep_if_closer(_snapped(run, staircase).image)
    if staircase:
        snap_back(nearest, staircase)
        if norm is not Norm.LINF:  # restoring some pixels does not reduce the largest change
            sparsify(nearest, staircase, strength.rounds, torch.Generator(images.device).manual_seed(seed))


def _minimum_norm(run: BestSoFar, steps: int, scale: float, generator: torch.Generator) -> None:
    """DDN or FMN from the original, then shrinking."""
    if run.norm is Norm.L2:
        adversarial = ddn(run.network, run.originals, run.targets, steps=steps, generator=generator, radius=scale)
    else:
        adversarial = fast_minimum_norm(run.network, run.originals, run.targets, run.norm, steps=steps, step_size=scale)
    _keep(run, adversarial)
    shrink(run)


def _keep(run: BestSoFar, images: Float[Tensor, "row channel height width"]) -> None:
    run.keep_if_closer(images)
    if run.held_out:
        overshoot(run, images)


def _snapped(run: BestSoFar, staircase: Transformation | None) -> BestSoFar:
    snapped = copy(run)
    if staircase:
        snap_back(snapped, staircase)
        shrink(snapped)
    return snapped


def _held_out(network: nn.Module, criterion: SuccessCriterion) -> tuple[HeldOutDraws | None, HeldOutDraws | None]:
    """The draws that decide success and those used only at the end; None for both where nothing is random."""
    transformation = random_transformation(network)
    if transformation is None or not isinstance(network, Defended):
        return None, None
    decide, confirm = (HeldOutDraws(network, transformation, criterion, first) for first in (HELD_OUT, UNSEEN))
    return decide, confirm


def _through_jpeg(network: nn.Module) -> tuple[Linearized, Defended] | None:
    """The codec and the network with BPDA's identity in the backward pass, if it is behind JPEG alone and uses BPDA."""
    if not isinstance(network, Defended) or not isinstance(network.transformation, BPDA):
        return None
    match parts(network.defense):
        case [Linearized() as codec]:
            return codec, Defended(network.network, codec)
    return None
